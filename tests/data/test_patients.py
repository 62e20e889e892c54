"""Ids that have an image in common are one patient."""

import pytest

from data.patients import join_patients


@pytest.mark.parametrize(
    ("patients", "images", "joined"),
    [
        ("abc", "123", "abc"),
        ("abab", "1223", "aaaa"),  # b shares 2 with a
        ("abc", "112", "aac"),
        ("abbc", "1122", "aaaa"),  # c joins b by 2, b joins a by 1
        ("cba", "111", "ccc"),  # the id that comes first
        (["a", "b"], ["", ""], ["a", "b"]),  # no image joins nobody
        ([], [], []),
    ],
)
def test_joined_patients_have_the_id_that_comes_first(patients, images, joined):
    assert join_patients(list(patients), list(images)) == list(joined)


def test_a_chain_that_closes_late_still_gives_the_first_id():
    patients = ["a", "b", "c", "d", "d", "c", "b"]
    images = [1, 2, 3, 4, 3, 2, 1]
    assert join_patients(patients, images) == ["a"] * 7

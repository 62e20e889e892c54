"""Ids that have an image in common are one patient."""

import pytest

from data.patients import join_equal_numbers, join_patients


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


@pytest.mark.parametrize(
    ("ids", "joined", "warning"),
    [
        (["0005", "6", "5", "5.0", "5,"], ["0005", "6", "0005", "0005", "0005"], "5 = 5.0 = 5,"),
        (["0", "00", "000.00"], ["0", "0", "0"], "0 = 00 = 000.00"),
        (["5", "5", "50", "5.5", "5a", "p5", "p05", "-5", ""], None, ""),
        (["\u0665", "5"], None, ""),  # another script's digit
    ],
)
def test_ids_of_one_number_are_one_patient_with_a_warning(ids, joined, warning, caplog):
    assert join_equal_numbers(ids, "table.csv") == (joined or ids)
    assert warning in caplog.text
    assert bool(caplog.text) == bool(warning)

"""Copies of one image: one is kept, and all who share it are one patient."""

from pathlib import Path

import pytest

from data.copies.groups import contradict, exact_groups, join_groups, list_groups, surplus
from data.prepare import Prepared
from data.record import Record


def images(*rows):
    """Prepared images of (digest, patient, label) rows."""
    return [
        Prepared(
            Record("s", row, Path(f"{row}.png"), label, f"s:{patient}", label, f"{row}.png"),
            f"s-{row}.png",
            digest,
            b"",
            64,
            64,
        )
        for row, (digest, patient, label) in enumerate(rows, start=1)
    ]


FOUND = images(
    ("d1", "a", "normal"), ("d2", "b", "normal"), ("d1", "c", "normal"), ("d3", "a", "COVID-19"),
    ("d2", "d", "pneumonia"), ("d1", "e", "normal"),
)  # fmt: skip


def test_images_with_the_same_pixels_are_a_group():
    assert exact_groups(FOUND) == [[0, 2, 5], [1, 4]]
    assert exact_groups(images(("d1", "a", "normal"), ("d2", "a", "normal"))) == []


def test_the_first_of_a_group_is_kept_and_none_where_the_labels_contradict():
    assert surplus(FOUND, exact_groups(FOUND), [[0, 3]]) == {
        0: "copies of it have the labels COVID-19, normal",
        1: "copies of it have the labels normal, pneumonia",
        2: "copies of it have the labels COVID-19, normal",
        3: "copies of it have the labels COVID-19, normal",
        4: "copies of it have the labels normal, pneumonia",
        5: "copies of it have the labels COVID-19, normal",
    }
    assert surplus(FOUND, [[0, 2, 5]], []) == dict.fromkeys([2, 5], "the same image as s row 1")
    assert surplus(FOUND, [[], [2, 5]], [[0, 1]]) == {5: "the same image as s row 3"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("normal", False),
        ("normal pneumonia", True),
        ("COVID-19 positive", False),
        ("negative normal", False),
        ("negative pneumonia", False),
        ("negative normal pneumonia", True),
        ("COVID-19 negative", True),
        ("negative positive", True),
        ("tuberculosis", False),
        ("COVID COVID-19", False),  # of a user's own folder
    ],
)
def test_a_wider_name_of_a_class_contradicts_it_not(labels, expected):
    assert contradict({(f"source {k}", name) for k, name in enumerate(labels.split())}) is expected


def test_two_names_of_one_source_contradict_each_other_whatever_they_are():
    assert contradict({("folder", "tuberculosis"), ("folder", "healthy")})
    assert not contradict({("folder", "tuberculosis"), ("other", "healthy")})


def test_the_patients_of_a_group_are_one_with_all_their_other_images():
    joined = join_groups(FOUND, [[0, 2], [3, 4]])
    assert [item.record.patient_id for item in joined] == [
        "s:a", "s:b", "s:a", "s:a", "s:a", "s:e",
    ]  # fmt: skip
    assert join_groups(FOUND, []) == FOUND


def test_every_group_is_listed_with_where_its_images_come_from():
    exact, near = list_groups(FOUND, [[0, 2]], [[3, 4]])
    assert exact == {
        "kind": "exact",
        "images": [
            {"source": "s", "row": 1, "original": "1.png", "patient_id": "s:a", "label": "normal"},
            {"source": "s", "row": 3, "original": "3.png", "patient_id": "s:c", "label": "normal"},
        ],
    }
    assert [image["patient_id"] for image in near["images"]] == ["s:a", "s:d"]

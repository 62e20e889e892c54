"""Copies of one image: all who share it are one patient."""

from pathlib import Path

from data.copies.groups import exact_groups, join_groups, list_groups
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


IMAGES = images(
    ("d1", "a", "normal"), ("d2", "b", "normal"), ("d1", "c", "normal"), ("d3", "a", "COVID-19"),
    ("d2", "d", "pneumonia"), ("d1", "e", "normal"),
)  # fmt: skip


def test_images_with_the_same_pixels_are_a_group():
    assert exact_groups(IMAGES) == [[0, 2, 5], [1, 4]]
    assert exact_groups(images(("d1", "a", "normal"), ("d2", "a", "normal"))) == []


def test_the_patients_of_a_group_are_one_with_all_their_other_images():
    joined = join_groups(IMAGES, [[0, 2]], [[3, 4]])
    assert [item.record.patient_id for item in joined] == [
        "s:a", "s:b", "s:a", "s:a", "s:a", "s:e",
    ]  # fmt: skip
    assert [item.near_group for item in joined] == [None, None, None, 0, 0, None]
    assert join_groups(IMAGES, [], []) == IMAGES


def test_every_group_is_listed_with_where_its_images_come_from():
    exact, near = list_groups(IMAGES, [[0, 2]], [[3, 4]])
    assert exact == {
        "kind": "exact",
        "images": [
            {"source": "s", "row": 1, "original": "1.png", "patient_id": "s:a", "label": "normal"},
            {"source": "s", "row": 3, "original": "3.png", "patient_id": "s:c", "label": "normal"},
        ],
    }
    assert [image["patient_id"] for image in near["images"]] == ["s:a", "s:d"]

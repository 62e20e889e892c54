"""Which readable images are left out."""

from dataclasses import replace
from pathlib import Path

import pytest

from data.prepare import Prepared
from data.record import Record
from data.selection.exclusions import contradict, exclude_copies, exclude_unwanted


def image(row, digest="", patient="covidx:7", source="covidx", label="normal", **known):
    record = Record(source, row, Path("a.png"), label, patient, label, "a.png", **known)
    return Prepared(record, f"{source}-{row}.png", digest or f"only {row}", b"", 64, 64)


def rows_and_reasons(images, kept, dropped):
    """Row -> reason; every image is kept or dropped."""
    rows = [item.record.row for item in kept] + [item.row for item in dropped]
    assert sorted(rows) == [item.record.row for item in images]
    return {item.row: item.reason for item in dropped}


def test_an_unknown_view_is_kept_only_of_frontal_sources():
    views = ["PA", "", "", "L", "L"]
    images = [image(row, view=view, frontal=row in {2, 4}) for row, view in enumerate(views)]
    assert rows_and_reasons(images, *exclude_unwanted(images, ["PA", "AP"])) == {
        1: "view unknown, not one of PA, AP",
        3: "view L, not one of PA, AP",
        4: "view L, not one of PA, AP",
    }


IMAGES = [
    image(row, digest, label=label)
    for row, (digest, label) in enumerate(
        [
            ("d1", "normal"), ("d2", "normal"), ("d1", "normal"), ("d3", "COVID-19"),
            ("d2", "pneumonia"), ("d1", "normal"),
        ],
        start=1,
    )
]  # fmt: skip


def left_out(images, *near):
    """Row -> reason where these rows are groups of near copies."""
    groups = {row: number for number, rows in enumerate(near) for row in rows}
    images = [replace(item, near_group=groups.get(item.record.row)) for item in images]
    return rows_and_reasons(images, *exclude_copies(images))


def test_the_first_of_a_group_is_kept_and_none_where_the_labels_contradict():
    assert left_out(IMAGES, [1, 4]) == {
        1: "copies of it have the labels COVID-19, normal",
        2: "copies of it have the labels normal, pneumonia",
        3: "copies of it have the labels COVID-19, normal",
        4: "copies of it have the labels COVID-19, normal",
        5: "copies of it have the labels normal, pneumonia",
        6: "copies of it have the labels COVID-19, normal",
    }
    same = [IMAGES[k] for k in (0, 2, 5)]
    assert left_out(same) == dict.fromkeys([3, 6], "the same image as covidx row 1")
    assert left_out(same[1:]) == {6: "the same image as covidx row 3"}


def test_near_copies_whose_labels_agree_stay():
    assert left_out([image(1), image(2), image(3)], [1, 2, 3]) == {}


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
def test_a_wider_name_of_a_class_does_not_contradict_it(labels, expected):
    assert contradict({(f"source {k}", name) for k, name in enumerate(labels.split())}) is expected


def test_two_names_of_one_source_contradict_each_other_whatever_they_are():
    assert contradict({("folder", "tuberculosis"), ("folder", "healthy")})
    assert not contradict({("folder", "tuberculosis"), ("other", "healthy")})

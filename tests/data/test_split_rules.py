"""The rules that tie a patient to a split, alone and against each other."""

from pathlib import Path

import pytest

from data.record import Record
from data.split_rules import (
    allowed_places,
    earlier_places,
    is_of,
    settle_patients,
)


def record(patient="covidx:7", source="covidx", splits=(), original="train/a.png"):
    return Record(source, 1, Path("a.png"), "normal", patient, "normal", original, splits=splits)


EARLIER = earlier_places(
    {
        "train": [{"patient_id": "rsna:1", "source": "rsna", "original": "x.dcm"}],
        "test": [{"patient_id": "covidx:7", "source": "covidx", "original": "test/b.png"}],
    },
    [
        {
            "images": [
                {"source": "rsna", "original": "x.dcm", "patient_id": "rsna:1"},
                {"source": "covidx", "original": "test/copy.png", "patient_id": "covidx:8"},
            ]
        }
    ],
)


@pytest.mark.parametrize(
    ("item", "earlier", "hold_out", "expected"),
    [
        (record(), {}, None, []),
        (record(splits=("train", "val")), {}, None, [("train", "val")]),
        (record(), EARLIER, None, [("test",)]),  # another image of a known patient
        (record("rsna:2", "rsna", original="x.dcm"), EARLIER, None, [("train",)]),  # by its image
        (record("rsna:2", "rsna", original="y.dcm"), EARLIER, None, []),  # a new patient
        (record("covidx:8"), EARLIER, None, [("train",)]),  # had an exact copy in train
        (record("covidx:9", original="test/copy.png"), EARLIER, None, [("train",)]),
        (record(splits=("train",)), EARLIER, None, [("test",)]),  # not the source's own split
        (record(splits=("train",)), {}, "covidx", [("test",)]),  # held out, whatever its own split
        (record(), {}, "rsna", [("train", "val")]),  # test is for the source held out
        (record(splits=("test",)), {}, "rsna", [("train", "val")]),
    ],
)
def test_each_rule_has_its_say(item, earlier, hold_out, expected):
    assert allowed_places(item, earlier, hold_out) == expected


@pytest.mark.parametrize(
    ("places", "allowed", "torn"),
    [
        ([[], []], {}, {}),
        ([[("test",)], []], {"p": ["test"]}, {}),
        ([[("train", "val")], [("val", "test")]], {"p": ["val"]}, {}),
        ([[("test",)], [("train", "val")]], {"p": ["train"]}, {"p": "test and train or val"}),
        ([[("test",)], [("val",)]], {"p": ["val"]}, {"p": "test and val"}),
    ],
)
def test_a_patient_with_contradicting_rules_goes_where_a_model_may_have_learned(
    places, allowed, torn
):
    assert settle_patients(["p", "p"], places) == (allowed, torn)


def test_each_patient_is_settled_alone():
    allowed, torn = settle_patients(["a", "b", "c"], [[("train",)], [("test",)], []])
    assert allowed == {"a": ["train"], "b": ["test"]}
    assert not torn


def test_a_source_is_held_out_with_all_its_parts():
    assert is_of("covidx", "covidx")
    assert is_of("covidx-sirm", "covidx")
    assert not is_of("covidx", "covidx-sirm")
    assert not is_of("rsna", "covidx")
    assert allowed_places(record(source="covidx-sirm"), {}, "covidx") == [("test",)]

"""The rules that tie a patient to a split, one by one and together."""

from pathlib import Path

import pytest

from data.record import Record
from data.split_rules import (
    allowed_splits,
    earlier_splits,
    is_part_of,
    split_rules,
)


def record(patient="covidx:7", source="covidx", splits=(), original="train/a.png"):
    return Record(source, 1, Path("a.png"), "normal", patient, "normal", original, splits=splits)


EARLIER = earlier_splits(
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
    assert split_rules(item, earlier, hold_out) == expected


@pytest.mark.parametrize(
    ("rules", "allowed", "warning"),
    [
        ([[], []], {}, None),
        ([[("test",)], []], {"p": ["test"]}, None),
        ([[("train", "val")], [("val", "test")]], {"p": ["val"]}, None),
        ([[("test",)], [("train", "val")]], {"p": ["train"]}, "test and train or val"),
        ([[("test",)], [("val",)]], {"p": ["val"]}, "test and val"),
    ],
)
def test_a_patient_with_contradicting_rules_goes_where_a_model_may_have_learned(
    rules, allowed, warning, caplog
):
    assert allowed_splits(["p", "p"], rules) == allowed
    assert [entry.getMessage() for entry in caplog.records] == (
        [
            f"p: is in {warning} of its source's own split or the earlier dataset; goes to"
            f" {allowed['p'][0]}"
        ]
        if warning
        else []
    )


def test_each_patient_has_only_its_own_rules(caplog):
    allowed = allowed_splits(["a", "b", "c"], [[("train",)], [("test",)], []])
    assert allowed == {"a": ["train"], "b": ["test"]}
    assert not caplog.records


def test_many_contradictions_are_a_dozen_warnings_and_a_count(caplog):
    patients = [f"p{k:02d}" for k in range(15)]
    allowed_splits(patients, [[("train",), ("test",)]] * 15)
    lines = [entry.getMessage() for entry in caplog.records]
    assert len(lines) == 13
    assert lines[-1] == "... and so are 3 more patients"


def test_a_source_is_held_out_with_all_its_parts():
    assert is_part_of("covidx", "covidx")
    assert is_part_of("covidx-sirm", "covidx")
    assert not is_part_of("covidx", "covidx-sirm")
    assert not is_part_of("rsna", "covidx")
    assert split_rules(record(source="covidx-sirm"), {}, "covidx") == [("test",)]

"""The rules that tie a patient to a split, one by one and together."""

from pathlib import Path

import pytest

from data.record import Record
from data.split.rules import (
    allowed_splits,
    earlier_splits,
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
    ("item", "earlier", "expected"),
    [
        (record(), {}, []),
        (record(splits=("train", "val")), {}, [("train", "val")]),
        (record(), EARLIER, [("test",)]),  # another image of a known patient
        (record("rsna:2", "rsna", original="x.dcm"), EARLIER, [("train",)]),  # by its image
        (record("rsna:2", "rsna", original="y.dcm"), EARLIER, []),  # a new patient
        (record("covidx:8"), EARLIER, [("train",)]),  # had an exact copy in train
        (record("covidx:9", original="test/copy.png"), EARLIER, [("train",)]),
        (record(splits=("train",)), EARLIER, [("test",)]),  # not the source's own split
    ],
)
def test_each_rule_has_its_say(item, earlier, expected):
    assert split_rules(item, earlier) == expected


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

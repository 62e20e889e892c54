import pandas as pd
import pytest

from data.audit import (
    SHORTCUTS,
    age_band,
    audit_columns,
    counts,
    describe,
    guess_by,
    scores_without_pixels,
    shape_class,
    summary,
)


def table(*pairs):
    """Metadata rows of these (label, source) pairs."""
    return pd.DataFrame(pairs, columns=["label", "source"], dtype=str)


TRAIN = table(
    *[("COVID-19", "covid")] * 3, ("normal", "covid"), *[("normal", "rsna")] * 4,
    *[("pneumonia", "rsna")] * 3,
)  # fmt: skip


def test_counts_are_images_by_label_source_and_split():
    tables = {
        "train": TRAIN,
        "val": table(("normal", "rsna"), ("tuberculosis", "shenzhen")),
        "test": table(),
    }
    found = counts(tables)
    assert list(found.columns) == ["train", "val", "test"]
    assert {key: row.tolist() for key, row in found.iterrows()} == {
        ("COVID-19", "covid"): [3, 0, 0],
        ("normal", "covid"): [1, 0, 0],
        ("normal", "rsna"): [4, 1, 0],
        ("pneumonia", "rsna"): [3, 0, 0],
        ("tuberculosis", "shenzhen"): [0, 1, 0],
    }
    assert list(found.index) == sorted(found.index)


def test_a_row_is_named_after_the_commonest_label_of_its_source():
    other = table(("normal", "covid"), ("pneumonia", "rsna"), ("COVID-19", "rsna"))
    assert guess_by("source", TRAIN, other) == ["COVID-19", "normal", "normal"]


def test_a_source_that_training_does_not_have_gets_the_commonest_label_of_all():
    assert guess_by("source", TRAIN, table(("COVID-19", "shenzhen"))) == ["normal"]


@pytest.mark.parametrize("turn", [1, -1])
def test_ties_go_to_the_first_label_by_name(turn):
    train = table(("pneumonia", "a"), ("normal", "a"))[::turn]
    assert guess_by("source", train, table(("x", "a"), ("x", "b"))) == ["normal", "normal"]


def test_guesses_come_in_the_order_of_the_rows_whatever_their_index():
    other = table(("x", "covid"), ("x", "rsna"), ("x", "covid"))[::-1].iloc[1:]
    assert guess_by("source", TRAIN, other) == ["normal", "COVID-19"]


def test_any_column_can_be_asked_and_a_split_without_a_row_gives_no_guess():
    assert guess_by("view", TRAIN.assign(view="PA"), TRAIN.assign(view="PA"))[:1] == ["normal"]
    assert guess_by("source", TRAIN, table()) == []


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("", "unknown"),
        ("0", "0-19"),
        ("1-5", "0-19"),
        ("19", "0-19"),
        ("20", "20-39"),
        ("80", "80+"),
        ("99", "80+"),
    ],
)
def test_ages_come_in_bands_of_twenty_years(age, band):
    assert age_band(age) == band


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((1024, 1024), "1024 x 1024"),
        ((1100, 1000), "1024 x 1024"),
        ((1400, 1024), "1448 x 1024"),
        ((700, 500), "724 x 512"),
        ((1, 1), "1 x 1"),
    ],
)
def test_files_of_nearly_one_size_are_of_one_shape(sides, expected):
    assert shape_class(*sides) == expected


def test_the_audit_has_every_combination_with_its_images_in_each_split():
    columns = ["filename", "label", "patient_id", "source", "view", "sex", "age"]
    rows = [
        ("a.png", "normal", "s:1", "s", "PA", "F", "30"),
        ("b.png", "normal", "s:1", "s", "PA", "F", "35"),
        ("c.png", "COVID-19", "s:2", "s", "", "M", ""),
    ]
    shapes = dict.fromkeys(["a.png", "b.png", "c.png"], (100, 100))
    tables = {
        "train": audit_columns(pd.DataFrame(rows, columns=columns), shapes),
        "test": audit_columns(pd.DataFrame(rows[:1], columns=columns), shapes),
    }
    about = describe(tables)
    assert about["audit"] == [
        {"label": "COVID-19", "source": "s", "view": "unknown", "sex": "M", "age": "unknown",
         "train": 1, "test": 0},
        {"label": "normal", "source": "s", "view": "PA", "sex": "F", "age": "20-39",
         "train": 2, "test": 1},
    ]  # fmt: skip
    assert about["patients"] == {"train": 2, "test": 1}
    assert about["labels"] == ["COVID-19", "normal"]
    assert list(tables["train"]["file shape"]) == ["91 x 91"] * 3


def test_the_score_without_pixels_is_the_part_of_right_guesses_and_empty_splits_have_none():
    images = table(("normal", "rsna"), ("normal", "rsna"), ("pneumonia", "rsna"))
    columns = {"view": "PA", "file shape": "91 x 91", "patient_id": ["a", "b", "c"]}
    train = TRAIN.assign(**columns | {"patient_id": "t"})
    empty = images.assign(**columns)[:0]
    tables = {"train": train, "val": images.assign(**columns), "test": empty}
    scores = scores_without_pixels(tables)
    assert list(scores) == list(SHORTCUTS)
    assert list(scores["source"]) == ["val"]
    score = scores["source"]["val"]
    assert score["value"] == pytest.approx(2 / 3)
    assert score["low"] < score["value"] < score["high"]


def test_the_summary_shows_twelve_reasons_and_how_many_more_there_are():
    about = {
        "images": {"train": 9, "test": 2},
        "dropped": {f"reason {k}": 1 for k in range(14)},
        "duplicates": [{"kind": "near"}, {"kind": "exact"}],
        "alone": {"source": {"test": {"value": 0.5, "low": 0.25, "high": 0.75}}},
    }
    text = summary(about, {"train": TRAIN})
    assert "11 images kept, 14 rows left out (dropped.csv has each):" in text
    assert text.count("  reason ") == 12
    assert "and 2 more kinds of reasons" in text
    assert "1 group of near copies, each in one split" in text
    assert text.endswith("      source  test 0.50 (0.25 - 0.75)")


def test_the_summary_counts_one_and_none_in_words():
    about = {
        "images": {"train": 1},
        "dropped": {},
        "duplicates": [],
        "alone": {"source": {}},
    }
    text = summary(about, {"train": TRAIN})
    assert "\n1 image kept, 0 rows left out.\n" in text
    assert "No near copies found." in text

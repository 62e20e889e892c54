import pandas as pd
import pytest

from data.audit.counts import age_band, audit_columns, counts, describe, summary


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


def test_the_audit_has_every_combination_with_its_images_in_each_split():
    columns = ["filename", "label", "patient_id", "source", "view", "sex", "age"]
    rows = [
        ("a.png", "normal", "s:1", "s", "PA", "F", "30"),
        ("b.png", "normal", "s:1", "s", "PA", "F", "35"),
        ("c.png", "COVID-19", "s:2", "s", "", "M", ""),
    ]
    tables = {
        "train": audit_columns(pd.DataFrame(rows, columns=columns)),
        "test": audit_columns(pd.DataFrame(rows[:1], columns=columns)),
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


SCORE = {"value": 0.5, "low": 0.25, "high": 0.75}
ABOUT = {
    "images": {"train": 9, "test": 2},
    "dropped": {f"reason {k}": 1 for k in range(14)},
    "duplicates": [{"kind": "near"}, {"kind": "exact"}],
    "alone": {"source": {"test": SCORE}},
    "source_in_pictures": {"val": None, "test": {"accuracy": SCORE, "commonest": 0.4}},
    "upscaling": {"factors": {"rsna": 0.25, "valencia": 1.14, "old": 1.1}, "common_size": 224},
}


def test_the_summary_shows_twelve_reasons_and_how_many_more_there_are():
    text = summary(ABOUT, {"train": TRAIN})
    assert "11 images kept, 14 rows left out (dropped.csv has each):" in text
    assert text.count("  reason ") == 12
    assert "and 2 more kinds of reasons" in text
    assert "1 group of near copies, each in one split" in text


def test_the_summary_shows_what_cheats_score_and_what_of_the_source_is_left():
    text = summary(ABOUT, {"train": TRAIN})
    assert "\n              source  test 0.50 (0.25 - 0.75)\n" in text
    scores = "picture statistics  test 0.50 (0.25 - 0.75)\nthe commonest source  test 0.40"
    assert scores in text
    nothing = {"source_in_pictures": {"val": None, "test": None}}
    assert "commonest" not in summary(ABOUT | nothing, {"train": TRAIN})


def test_the_summary_warns_of_sources_that_are_scaled_up_by_more_than_a_tenth():
    warning = summary(ABOUT, {"train": TRAIN}).splitlines()[-1]
    assert "valencia 1.14 times. At --size 224" in warning
    assert "old" not in warning
    fine = {"upscaling": {"factors": {"rsna": 0.25, "old": 1.1}, "common_size": 256}}
    assert "caled up" not in summary(ABOUT | fine, {"train": TRAIN})


def test_the_summary_counts_one_and_none_in_words():
    text = summary(
        ABOUT | {"images": {"train": 1}, "dropped": {}, "duplicates": []}, {"train": TRAIN}
    )
    assert "\n1 image kept, 0 rows left out.\n" in text
    assert "No near copies found." in text

import pandas as pd
import pytest

from data.audit import counts, guess_by


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

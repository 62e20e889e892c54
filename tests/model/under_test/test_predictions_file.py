"""A table of predictions: what it says of each film, and what is refused, in one line."""

import numpy as np
import pandas as pd
import pytest

from data.subject import dataset_split
from model.under_test.predictions_file import predictions_file

MAPPING = {"normal": 0, "COVID-19": 1}


@pytest.fixture
def table(names):
    """A good one, of the test split."""
    chances = np.linspace(0.1, 0.9, len(names["test"]))
    columns = {"filename": names["test"], "p(normal)": chances, "p(COVID-19)": 1 - chances}
    return pd.DataFrame(columns).astype(object)


@pytest.fixture
def read(folder, tmp_path):
    """The model under test of a table."""

    def run(table, mapping=None, split="test"):
        table.to_csv(tmp_path / "theirs.csv", index=False)
        return predictions_file(tmp_path / "theirs.csv", folder, split, mapping)

    return run


def outputs(model, folder, split="test"):
    subject = dataset_split(folder, split, model.checkpoint, model.form, iter)
    return subject.images.table["filename"], model.outputs(subject).probabilities


def test_each_film_has_the_probabilities_of_its_name_to_the_last_digit(read, table, folder):
    table["p(normal)"] = [0.1 + 0.2, 1 / 3, 5e-324, 1 - 2**-53]
    table["p(COVID-19)"] = 1 - table["p(normal)"]
    model = read(table.iloc[::-1])
    films, found = outputs(model, folder)
    wanted = table.set_index("filename").loc[films].to_numpy(float)
    assert (found == wanted).all()
    assert model.classes == ["normal", "COVID-19"]
    assert model.validation is None


def test_the_order_of_the_columns_is_that_of_the_classes(read, table, folder):
    model = read(table[["p(COVID-19)", "filename", "p(normal)"]])
    assert model.checkpoint["mapping"] == {"COVID-19": 0, "normal": 1}
    films, found = outputs(model, folder)
    assert (found[:, 1] == table.set_index("filename").loc[films, "p(normal)"]).all()


def test_columns_of_other_names_are_mapped_to_labels(read, table):
    renamed = table.rename(columns={"p(normal)": "p(0)", "p(COVID-19)": "p(1)"})
    assert read(renamed, {"normal": 0, "COVID-19": 1}).classes == ["normal", "COVID-19"]
    with pytest.raises(ValueError, match=r"theirs.csv: found a column p\(0\); expected a label of"):
        read(renamed)


def test_a_column_may_stand_for_several_labels(read, make_dataset):
    folder = make_dataset(
        *((label, "test") for label in ("a", "b", "c")),
        *((label, split) for label in ("a", "b", "c") for split in ("train", "val")),
        name="three",
    )
    path = folder.parent / "joined.csv"
    films = pd.read_csv(folder / "test_metadata.csv")["filename"]
    pd.DataFrame({"filename": films, "p(a + c)": 0.25, "p(b)": 0.75}).to_csv(path, index=False)
    model = predictions_file(path, folder, "test", None)
    assert model.checkpoint["mapping"] == {"a": 0, "c": 0, "b": 1}


def test_thresholds_are_chosen_on_validation_where_the_table_has_it(read, table, names):
    chances = np.linspace(0, 1, len(names["val"]))
    more = pd.DataFrame(
        {"filename": names["val"], "p(normal)": chances, "p(COVID-19)": 1 - chances}
    )
    chosen_on, targets, patients = read(pd.concat([table, more])).validation
    assert list(chosen_on[:, 0]) == list(chances)
    assert len(targets) == len(patients) == 12
    assert set(targets) == {0, 1}
    assert read(pd.concat([table, more.iloc[1:]])).validation is None  # not all of it
    assert (
        read(pd.concat([table, more]), split="val").validation is None
    )  # it would be measured there


def cell(row, column, value):
    def change(table):
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"filename": "file"}), "no column filename; expected filename"),
        (lambda t: t[["filename", "p(normal)"]], "found columns filename, p.normal.; expected"),
        (
            lambda t: t.rename(columns={"p(normal)": "p(cancer)"}),
            r"found a column p\(cancer\); expected a label of .*small, which are COVID-19, normal",
        ),
        (cell(0, "filename", "no.png"), "found 1 name that .*small does not have, the first is no"),
        (lambda t: t.iloc[:-1], "1 of the 4 films of test are missing, the first is hospital-1"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "found .*png twice; expected one row for each film"),
        (cell(1, "p(normal)", 0.9), r".*png: its probabilities add up to 1\.5\d+; expected 1"),
        (
            cell(1, "p(normal)", "nan"),
            r".*png: p\(normal\) is 'nan'; expected a number from 0 to 1",
        ),
        (cell(1, "p(normal)", ""), r".*png: p\(normal\) is ''; expected a number from 0 to 1"),
        (cell(1, "p(normal)", "high"), r".*png: p\(normal\) is 'high'; expected a number"),
        (
            cell(1, "p(normal)", -0.1),
            r".*png: p\(normal\) is '-0.1'; expected a number from 0 to 1",
        ),
        (cell(1, "p(COVID-19)", 2.5), r".*png: p\(COVID-19\) is '2.5'; expected a number from 0"),
        (cell(1, "p(COVID-19)", "inf"), r".*png: p\(COVID-19\) is 'inf'; expected a number from 0"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(read, table, change, message):
    with pytest.raises(ValueError, match=rf"theirs.csv: {message}") as refused:
        read(change(table))
    assert "\n" not in str(refused.value)


def test_rounded_probabilities_are_taken_as_they_are(read, table, folder):
    table["p(normal)"], table["p(COVID-19)"] = 0.333, 0.66
    _, found = outputs(read(table), folder)
    assert (found == [0.333, 0.66]).all()


def test_a_mapping_of_other_classes_than_the_columns_is_refused(read, table, folder, tmp_path):
    with pytest.raises(ValueError, match=r"mapping: found indices \[0, 2\]; expected 0, 1"):
        read(table, {"normal": 0, "COVID-19": 2})
    table["p(other)"] = 0
    with pytest.raises(ValueError, match=r"mapping: found 2 classes; .*csv has 3: normal"):
        read(table, MAPPING)


def test_a_file_that_is_not_there_is_said(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.csv: no such file; expected a CSV of"):
        predictions_file(tmp_path / "no.csv", folder, "test", None)

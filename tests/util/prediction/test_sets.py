"""What rows say of prediction sets."""

import numpy as np
import pytest

from util.metrics.conformal import PredictionSets
from util.prediction.sets import EMPTY, FULL, OTHER, decided, describe
from util.prediction.text_csv_json import csv_lines, text_lines

CLASSES = ["normal", "pneumonia", "COVID-19"]
SETS = PredictionSets(0.9, np.array([9, 20, 30]), np.array([0.5, 0.3, 0.2]))


def row(names, note, label="normal"):
    return {
        "file": "a.png", "label": label, "probabilities": dict.fromkeys(CLASSES, 0.25),
        "set": names, "set_note": note, "doubtful": None, "checkpoint": "b", "error": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("probabilities", "label", "names", "note"),
    [
        ([0.8, 0.1, 0.1], "normal", ["normal"], None),
        ([0.45, 0.35, 0.2], "normal", ["pneumonia", "COVID-19"], OTHER),
        ([0.5, 0.4, 0.1], "normal", ["normal", "pneumonia"], None),
        ([0.5, 0.3, 0.2], "normal", CLASSES, FULL),
        ([0.49, 0.29, 0.19], "normal", [], EMPTY),
    ],
)
def test_an_empty_or_full_set_and_one_without_the_label_is_said_in_words(
    probabilities, label, names, note
):
    found = describe(SETS, CLASSES, np.array(probabilities), label)
    assert found == {"set": names, "set_note": note}


def test_a_class_of_too_few_patients_is_in_every_set_and_this_is_said():
    sets = PredictionSets(0.9, np.array([8, 20, 30]), np.array([0, 0.3, 0.2]))
    found = describe(sets, CLASSES, np.array([0.0, 0.1, 0.9]), "COVID-19")
    assert found["set"] == ["normal", "COVID-19"]
    assert found["set_note"] == "normal is in every set: 8 of the 9 patients that it takes"


@pytest.mark.parametrize(
    ("names", "note", "said", "cells"),
    [
        (["normal", "COVID-19"], None, "normal, COVID-19", "normal|COVID-19,"),
        ([], EMPTY, f"no class ({EMPTY})", f",{EMPTY}"),
        (CLASSES, FULL, f"normal, pneumonia, COVID-19 ({FULL})", f"{'|'.join(CLASSES)},{FULL}"),
    ],
)
def test_text_and_csv_have_the_set_after_the_probabilities(names, note, said, cells):
    (line,) = text_lines([row(names, note)], CLASSES)
    chances = "normal 0.250, pneumonia 0.250, COVID-19 0.250"
    assert line == f"a.png: normal ({chances}); set: {said}\n"
    header, line = csv_lines([row(names, note)], CLASSES)
    columns = "file,label,normal,pneumonia,COVID-19,set,set_note,doubtful,checkpoint,error\n"
    assert (header, line) == (columns, f"a.png,normal,0.25,0.25,0.25,{cells},,b,\n")


def test_what_is_undecided_has_that_as_its_label_and_an_error_has_none():
    failed = row(None, None, label=None) | {"error": "why", "probabilities": {}}
    rows = [row(["normal"], None), row(["pneumonia"], OTHER), row([], EMPTY), row(CLASSES, FULL)]
    labels = [decided(each)["label"] for each in [*rows, failed]]
    assert labels == ["normal", *["undecided"] * 3, None]
    assert rows[3]["label"] == "normal"  # the rows that were given stay as they are

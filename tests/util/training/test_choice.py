"""What chooses best.pth, and what does where validation has too little for it."""

import pandas as pd
import pytest

from util.training.choice import FEWEST_PATIENTS, measurable
from util.words import SCORES


def validation(*groups):
    """groups: (source, class index, patients). Two images a patient."""
    rows = [
        (source, f"{source}:{label}-{patient}", label)
        for source, label, patients in groups
        for patient in 2 * list(range(patients))
    ]
    table = pd.DataFrame(rows, columns=["source", "patient_id", "label"])
    return list(table["label"]), table


@pytest.mark.parametrize(
    ("groups", "chosen", "said"),
    [
        ([("a", 0, 9), ("a", 1, 5)], "within_source_auroc", ""),
        ([("a", 0, 3), ("a", 1, 9), ("b", 0, 9), ("b", 1, 2)], "within_source_auroc", ""),
        ([("a", 0, 9), ("a", 1, 9), ("b", 2, 9)], "within_source_auroc", ""),  # 2 has no value
        (
            [("a", 0, 9), ("a", 1, 4)],
            "macro_auroc",
            "where a class rests on 4 patients, expected 5",
        ),
        (
            [("a", 0, 9), ("a", 1, 9), ("a", 2, 1)],
            "macro_auroc",
            "a class rests on 1 patient, expected 5; macro_auroc chooses best.pth in its place",
        ),
        ([("a", 0, 9), ("b", 1, 9)], "macro_auroc", "where no source has two classes; macro_auroc"),
        ([("a", 0, 9), ("b", 0, 9)], "macro_f1", "all images are of one class; macro_f1 chooses"),
    ],
)
def test_what_validation_has_too_little_for_does_not_choose(caplog, groups, chosen, said):
    assert FEWEST_PATIENTS == 5
    assert measurable("within_source_auroc", *validation(*groups), 3) == chosen
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)


@pytest.mark.parametrize("choose", SCORES)
def test_what_every_split_has_stays(caplog, choose):
    assert measurable(choose, *validation(("a", 0, 9), ("a", 1, 9)), 2) == choose
    assert measurable("macro_f1", *validation(("a", 0, 9)), 2) == "macro_f1"
    assert caplog.text == ""

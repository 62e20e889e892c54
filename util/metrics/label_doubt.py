"""Which labels out-of-fold predictions doubt: a second reader should look at these first.

A network errs, too; but one that never saw the patient has not learned the label by heart, and
among the labels that it denies most the wrong ones are many (Northcutt, Jiang & Chuang, Confident
Learning, Journal of Artificial Intelligence Research 70, 2021).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def label_doubt(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """(N,) how much each image's network prefers another class to the label.

    table: of `read_out_of_fold`. The margin, the highest other logit less that of the label, in
    standard deviations from the mean of the fold: how sure a fold's network is of itself, which its
    temperature only mends on average, moves no image.
    """
    logits = table[[f"logit({name})" for name in classes]].to_numpy()
    labelled = table["truth"].to_numpy()[:, None] == np.array(classes)
    others = np.where(labelled, -np.inf, logits).max(1)
    margin = pd.Series(others - logits[labelled], table.index)
    of_fold = margin.groupby(table["fold"])
    return ((margin - of_fold.transform("mean")) / of_fold.transform("std")).to_numpy()


def suspects(table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The images that their network names otherwise than their label, the most doubted first.

    With `predicted`, its `probability`, `doubt`, and how many images are `alike`: of the same label
    and source. The fewer these are, the less the networks could learn that they occur.
    """
    p = table[[f"p({name})" for name in classes]].to_numpy()
    found = table.assign(
        predicted=np.array(classes)[p.argmax(1)],
        probability=p.max(1),
        doubt=label_doubt(table, classes),
        alike=table.groupby(["label", "source"])["label"].transform("size"),
    )
    found = found[found["predicted"] != found["truth"]]
    return found.sort_values("doubt", ascending=False, kind="stable")


def by_patient(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of `suspects`, those of a patient at the place of the first of them."""
    patients = found["patient_id"].drop_duplicates().tolist()
    return found.sort_values("patient_id", key=lambda ids: ids.map(patients.index), kind="stable")

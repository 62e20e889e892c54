"""Which labels out-of-fold predictions doubt: a second reader should look at these first.

A network errs, too; but one that never saw the patient has not learned the label by heart, and
among the labels that it denies most the wrong ones are many (Northcutt, Jiang & Chuang, Confident
Learning, Journal of Artificial Intelligence Research 70, 2021).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def label_doubt(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """(N,) how much likelier than the label another class is, by the network and by the source.

    table: of `read_out_of_fold`. The margin, the highest other log-odds less that of the label, in
    standard deviations from the mean of the fold, because one fold's network is surer of itself
    than another's. Log-odds are the network's logit and how much commoner the class is in the
    source than in all sources. Both are counted in the other folds, where no patient is this one's;
    a source counts as many images more as there are classes, mixed as in all, so that no label is
    impossible there and a source that is not in the other folds says nothing.
    """
    logits = table[[f"logit({name})" for name in classes]].to_numpy()
    labelled = table["truth"].to_numpy()[:, None] == np.array(classes)
    odds = logits + _commoner_in_the_source(labelled, table["source"], table["fold"])
    others = np.where(labelled, -np.inf, odds).max(1)
    margin = pd.Series(others - odds[labelled], table.index)
    of_fold = margin.groupby(table["fold"])
    return ((margin - of_fold.transform("mean")) / of_fold.transform("std")).to_numpy()


def _commoner_in_the_source(
    labelled: np.ndarray, sources: pd.Series, folds: pd.Series
) -> np.ndarray:
    """labelled: (N, K) bool -> (N, K), logarithms."""
    counts = pd.DataFrame(labelled.astype(int), sources.index)
    of_fold, of_source, of_both = (
        counts.groupby(keys).transform("sum") for keys in (folds, sources, [sources, folds])
    )
    everywhere = counts.sum() - of_fold + 1
    mixture = everywhere.div(everywhere.sum(axis=1), axis=0)
    here = of_source - of_both + labelled.shape[1] * mixture
    return np.log((here.div(here.sum(axis=1), axis=0) / mixture).to_numpy())


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

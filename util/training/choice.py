"""By which validation score a run is judged: it chooses best.pth, and best.pth's age is what early
stopping and the plateau schedule go by."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from util.metrics.within_source import fewest_patients
from util.words import counted

log = logging.getLogger(__name__)

# Of a class and of its rest, in sources that have both. One patient of fewer moves the class's
# AUROC by more than 0.2, which is more than lies between the epochs.
FEWEST_PATIENTS = 5


def measurable(
    choose: str,
    targets: Sequence[int],
    table: pd.DataFrame,
    n_classes: int,
    what: str = "best.pth",
) -> str:
    """The score `choose`, or one that stands in for it where validation has too little for it.

    targets: the class indices of the N validation images; table: their metadata, in that order.
    what: is chosen by it, for the log.
    The AUROC over all images stands in for the one within sources, and the macro F1 for an AUROC
    where there is only one class. The log says so.
    """
    if choose == "within_source_auroc":
        columns = (table[name].to_numpy() for name in ("source", "patient_id"))
        found = fewest_patients(np.asarray(targets), *columns, n_classes)
        if found < FEWEST_PATIENTS:
            rests = f"a class rests on {counted(found, 'patient')}, expected {FEWEST_PATIENTS}"
            why = rests if found else "no source has two classes"
            choose = _in_place_of(choose, "macro_auroc", why, what)
    if choose == "macro_auroc" and len(set(targets)) < 2:
        choose = _in_place_of(choose, "macro_f1", "all images are of one class", what)
    return choose


def _in_place_of(choose: str, other: str, why: str, what: str) -> str:
    text = "%s: found too little in validation, where %s; %s chooses %s in its place"
    log.warning(text, choose, why, other, what)
    return other

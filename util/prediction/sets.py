"""Prediction sets in rows: which classes, what is to be said of it, and what is left undecided."""

from collections.abc import Sequence

import numpy as np

from util.metrics.conformal import PredictionSets

UNDECIDED = "undecided"  # in the place of a label: tables count it, and an empty one is an error's
EMPTY = "empty: unlike the films of every class"
FULL = "full: rules out no class"
OTHER = "without the likeliest class"
UNREAD = {"set": None, "set_note": None}  # of a file that could not be read


def describe(
    sets: PredictionSets, classes: Sequence[str], probabilities: np.ndarray, label: str
) -> dict:
    """set: names of classes; set_note: what is to be said of it, or None.

    probabilities: (K,), not moved to a prevalence. label: of the row, the likeliest there.
    """
    inside = sets.of(probabilities)
    names = [name for name, known in zip(classes, inside, strict=True) if known]
    notes = [
        f"{name} is in every set: {counted} of the {sets.needed} patients that it takes"
        for name, counted in zip(classes, sets.patients, strict=True)
        if counted < sets.needed
    ]
    if not names:
        notes.append(EMPTY)
    elif len(names) == len(classes):
        notes.append(FULL)
    elif label not in names:
        notes.append(OTHER)
    return {"set": names, "set_note": "; ".join(notes) or None}


def in_words(row: dict) -> str:
    """`normal, pneumonia`, then its note in brackets."""
    names = ", ".join(row["set"]) or "no class"
    return names + (f" ({row['set_note']})" if row["set_note"] else "")


def decided(row: dict) -> dict:
    """The row, with the label only where the set is this class and no other.

    Of all new patients of a class, no more get a wrong label than have a set without the class. Of
    the labels that are left the wrong ones may be a larger share.
    """
    sure = row["error"] is not None or row["set"] == [row["label"]]
    return row if sure else {**row, "label": UNDECIDED}

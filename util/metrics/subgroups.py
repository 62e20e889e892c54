"""How well predictions do in each source, view, sex and age band."""

from collections.abc import Mapping, Sequence

import numpy as np

from util.metrics.intervals import bootstrap, bootstrap_interval, clustered_wilson, metric
from util.metrics.scores import accuracy, check_table, confusion_matrix, f1, macro_metric

UNKNOWN = "unknown"
# Fewer than for the split: there are many subgroups, and the spread of 400 draws, from which most
# of an interval comes, is within 4 % of that of many.
DRAWS = 400


def subgroups(
    probabilities: np.ndarray,
    columns: Mapping[str, Sequence[str]],
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> dict[str, dict[str, dict]]:
    """Accuracy and macro F1 of the images that share a value of one of `columns`, ready for JSON.

    `columns` are name -> n values, of which a blank or missing one counts as "unknown"; the other
    arguments are those of `check_table`. Returns name -> value -> {"images", "patients",
    "accuracy": metric, "macro_f1": metric}, the most images first.

    Macro F1 is over the classes that occur in the subgroup: do not compare two subgroups of other
    classes. There are many subgroups: one in twenty leaves its interval by chance.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    predictions = probabilities.argmax(1)
    scores: dict[str, dict[str, dict]] = {}
    for name, values in columns.items():
        if len(values) != len(targets):
            raise ValueError(
                f"{name}: {len(values)} values; expected {len(targets)}, one an image."
            )
        scores[name] = {}
        for label, inside in groups_of(values).items():
            tables = targets[inside], predictions[inside], patients[inside]
            scores[name][label] = _scores(*tables, len(classes), seed)
    return scores


def groups_of(values: Sequence[str]) -> dict[str, np.ndarray]:
    """Each different value, a blank or missing one as "unknown", with which of the n have it,
    (n,) bool; the commonest first."""
    cleaned = np.array([_clean(value) for value in values])
    labels, images = np.unique(cleaned, return_counts=True)
    ordered = labels[np.argsort(-images, kind="stable")]
    return {str(label): cleaned == label for label in ordered}


def _clean(value: object) -> str:
    text = "" if value is None or value != value else str(value).strip()  # NaN is not itself
    return text or UNKNOWN


def _scores(
    targets: np.ndarray, predictions: np.ndarray, patients: np.ndarray, n_classes: int, seed: int
) -> dict:
    matrix = confusion_matrix(targets, predictions, n_classes)

    def drawn_f1(weights: np.ndarray) -> np.ndarray:
        return f1(confusion_matrix(targets, predictions, n_classes, weights))

    drawn = bootstrap(drawn_f1, patients, DRAWS, seed)  # (draws, K)
    values, occurs = f1(matrix), matrix.sum(1) > 0
    intervals = np.array(
        [
            bootstrap_interval(drawn[:, k], values[k], len(set(patients[targets == k])))
            for k in range(n_classes)
        ]
    )
    # Of each draw over the classes that occur in it; one at least does.
    shared = np.nanmean(drawn, axis=1)
    return {
        "images": len(targets),
        "patients": len(set(patients)),
        "accuracy": metric(accuracy(matrix), clustered_wilson(targets == predictions, patients)),
        "macro_f1": macro_metric(values, intervals, occurs, shared),
    }

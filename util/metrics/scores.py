"""Numbers that say how good predictions are, each with its 95 % interval. Needs NumPy and SciPy.

What is read off a confusion matrix takes matrices with any leading dimensions (..., K, K), so that
the value and its bootstrap draws come from the same line of code.
"""

import math
from collections.abc import Sequence

import numpy as np

from util.metrics.intervals import (
    Metric,
    bootstrap,
    bootstrap_interval,
    clustered_wilson,
    mean_interval,
    metric,
    percentile_interval,
    row_counts,
)
from util.metrics.ranking import auroc, rank_scores, ratio
from util.words import counted

RANKINGS = ("auroc", "average_precision")
MISTAKE = 8  # of an AUROC, for bootstrap_interval; 5 and 12 cover less well in simulations
FEW_PATIENTS = 30  # below it a class gets a warning


# ---- Counts ----


def confusion_matrix(
    targets: np.ndarray, predictions: np.ndarray, n_classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Count images by true class (rows) and predicted class (columns).

    `targets` and `predictions` (n,) hold class indices below `n_classes` = K. Returns (K, K) int64,
    or with `weights` (b, n) one matrix of summed weights for each of its rows: (b, K, K) float.
    """
    cells = np.asarray(targets, np.int64) * n_classes + np.asarray(predictions, np.int64)
    if weights is None:
        counts = np.bincount(cells, minlength=n_classes**2)
        return counts.reshape(n_classes, n_classes)
    return row_counts(cells, n_classes**2, weights).reshape(-1, n_classes, n_classes)


# ---- Metrics of a confusion matrix: (..., K, K) -> (...) or, for each class, (..., K) ----


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """Share of images named correctly: (...)."""
    return ratio(_hits(matrix).sum(-1), matrix.sum((-2, -1)))


def precision(matrix: np.ndarray) -> np.ndarray:
    """Share of the images given a class that are of it: (..., K). 0 for a class never given."""
    return ratio(_hits(matrix), matrix.sum(-2), otherwise=0.0)


def recall(matrix: np.ndarray) -> np.ndarray:
    """Sensitivity, the share of a class's images that are found: (..., K). NaN without images."""
    return ratio(_hits(matrix), matrix.sum(-1))


def specificity(matrix: np.ndarray) -> np.ndarray:
    """Share of the other classes' images not given this class: (..., K). NaN without others."""
    others = matrix.sum((-2, -1))[..., None] - matrix.sum(-1)
    false_alarms = matrix.sum(-2) - _hits(matrix)
    return ratio(others - false_alarms, others)


def f1(matrix: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall: (..., K). NaN for a class without images."""
    images = matrix.sum(-1)
    score = ratio(2 * _hits(matrix), images + matrix.sum(-2))
    return np.where(images > 0, score, np.nan)


def macro_average(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Mean of a metric's `values` (..., K) over the classes that occur in the targets: (...)."""
    occurs = matrix.sum(-1) > 0
    return ratio(np.where(occurs, values, 0).sum(-1), occurs.sum(-1))


def _hits(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def summary(matrix: np.ndarray) -> dict[str, float]:
    """Accuracy and macro averages of one confusion matrix (K, K), as plain numbers."""
    macro = {
        f"macro_{score.__name__}": float(macro_average(score(matrix), matrix))
        for score in (f1, precision, recall)
    }
    return {"accuracy": float(accuracy(matrix)), **macro}


def macro_auroc(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean AUROC of the classes that occur; NaN where only one does. Shapes as for `auroc`."""
    matrix = confusion_matrix(targets, targets, probabilities.shape[1])
    return float(macro_average(auroc(probabilities, targets), matrix))


# ---- All of them, with intervals ----


def evaluate_predictions(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
    draws: int = 1000,
) -> dict:
    """Every metric of `probabilities` (n, K) against `targets` (n,), ready for JSON.

    Arguments as for `check_table`, which raises for those that do not fit. Images of one patient
    are not independent; the predicted class is the most probable. A metric is {"value", "low",
    "high"}, the ends of its 95 % interval, all None where undefined.

    Proportions have Wilson's interval on the effective number of images. F1, AUROC and average
    precision have it on the number that the variance of `draws` bootstrap samples of patients
    implies; `seed` fixes these. Macro averages join the intervals of their classes, so that a rare
    class without a mistake, where a bootstrap sees no doubt, keeps its own.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    predictions = probabilities.argmax(1)
    names, patients = np.unique(patients, return_inverse=True)
    matrix = confusion_matrix(targets, predictions, len(classes))
    images = matrix.sum(1)
    seen = np.array([len(set(patients[targets == k])) for k in range(len(classes))])
    others = np.array([len(set(patients[targets != k])) for k in range(len(classes))])

    values = {
        "precision": precision(matrix),
        "recall": recall(matrix),
        "specificity": specificity(matrix),
        "f1": f1(matrix),
        **dict(zip(RANKINGS, rank_scores(probabilities, targets), strict=True)),
    }
    intervals = _wilson_intervals(targets, predictions, patients, len(classes))
    drawn = _bootstrap_scores(probabilities, targets, patients, draws, seed)
    # Of a ranking of two sides, the patients of the smaller one count.
    for name, scores in drawn.items():
        sizes = seen if name == "f1" else np.minimum(seen, others)
        mistake = MISTAKE if name == "auroc" else math.inf
        columns = zip(scores.T, values[name], sizes, strict=False)  # the last is the macro's
        intervals[name] = np.array([bootstrap_interval(*column, mistake) for column in columns])

    shared = {name: scores[:, -1] for name, scores in drawn.items()}
    macro = {
        f"macro_{name}": macro_metric(values[name], intervals[name], images > 0, shared.get(name))
        for name in ("f1", "precision", "recall", "specificity", *RANKINGS)
    }
    per_class = {
        label: {name: metric(values[name][k], intervals[name][k]) for name in values}
        | {"images": int(images[k]), "patients": int(seen[k])}
        for k, label in enumerate(classes)
    }
    return {
        "accuracy": metric(accuracy(matrix), clustered_wilson(targets == predictions, patients)),
        "balanced_accuracy": macro["macro_recall"],  # two names of one number
        **macro,
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
        "classes": list(classes),
        "images": len(targets),
        "patients": len(names),
        "warnings": _warnings(classes, seen, predicted=matrix.sum(0)),
    }


def _wilson_intervals(
    targets: np.ndarray, predictions: np.ndarray, patients: np.ndarray, n_classes: int
) -> dict[str, np.ndarray]:
    """Intervals (K, 2) of the metrics that are the proportion of some of the images."""
    intervals: dict[str, list] = {"precision": [], "recall": [], "specificity": []}
    for k in range(n_classes):
        is_k, named_k = targets == k, predictions == k
        trials = {
            "precision": (is_k, named_k),
            "recall": (named_k, is_k),
            "specificity": (~named_k, ~is_k),
        }
        for name, (hits, among) in trials.items():
            intervals[name].append(clustered_wilson(hits[among], patients[among]))
    return {name: np.array(pairs) for name, pairs in intervals.items()}


def _bootstrap_scores(
    probabilities: np.ndarray, targets: np.ndarray, patients: np.ndarray, draws: int, seed: int
) -> dict[str, np.ndarray]:
    """F1 and rankings of each class and, last, their macro average: name -> (draws, K + 1)."""
    predictions, n_classes = probabilities.argmax(1), probabilities.shape[1]

    def scores(weights: np.ndarray) -> np.ndarray:
        matrices = confusion_matrix(targets, predictions, n_classes, weights)
        rankings = rank_scores(probabilities, targets, weights)
        per_class = np.concatenate([f1(matrices)[None], rankings])
        macro = macro_average(per_class, matrices)
        return np.concatenate([per_class, macro[..., None]], axis=-1).swapaxes(0, 1)

    drawn = bootstrap(scores, patients, draws, seed).swapaxes(0, 1)
    return dict(zip(("f1", *RANKINGS), drawn, strict=True))


def macro_metric(
    values: np.ndarray, intervals: np.ndarray, occurs: np.ndarray, drawn: np.ndarray | None
) -> Metric:
    """Macro average of `values` (K,) over the classes that occur (K,) bool, within its interval.

    `intervals` (K, 2) are of the classes, `drawn` (draws,) bootstrap values of the average itself.
    """
    value = float(values[occurs].mean())
    low, high = mean_interval(values[occurs], intervals[occurs])
    if drawn is not None:
        # The wider of two: one knows what the classes share, the other the class without mistakes.
        drawn_low, drawn_high = percentile_interval(drawn, value)
        low, high = min(low, drawn_low), max(high, drawn_high)
    return metric(value, (low, high))


def _warnings(classes: Sequence[str], seen: np.ndarray, predicted: np.ndarray) -> list[str]:
    warnings = []
    for label, patients, times in zip(classes, seen, predicted, strict=True):
        if patients == 0:
            undefined = "its recall, F1, AUROC and average precision are undefined"
            warnings.append(f"{label}: no images; {undefined}, macro values leave it out.")
        elif patients < FEW_PATIENTS:
            people = counted(patients, "patient")
            warnings.append(f"{label}: {people}; intervals are wide below {FEW_PATIENTS}.")
        if times == 0:
            warnings.append(f"{label}: never predicted; its precision counts as 0.")
    return warnings


def check_table(
    probabilities: np.ndarray, targets: np.ndarray, patients: Sequence[str], classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first three as arrays; ValueError, in one line, for the first that does not fit.

    `probabilities` (n, K), `targets` (n,) class indices, `patients` n and `classes` K names.
    """
    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    if targets.ndim != 1 or len(targets) == 0 or targets.dtype.kind not in "iu":
        raise ValueError(
            f"targets: shape {targets.shape}, {targets.dtype}; expected one class index per image."
        )
    n_images, n_classes = len(targets), len(classes)
    if len(set(classes)) != n_classes:
        raise ValueError(f"classes: {list(classes)}; expected distinct names.")
    if probabilities.shape != (n_images, n_classes):
        raise ValueError(
            f"probabilities: shape {probabilities.shape}; expected {(n_images, n_classes)}, "
            "one row per image and one column per class."
        )
    if len(patients) != n_images:
        raise ValueError(f"patients: {len(patients)} names; expected {n_images}, one per image.")
    outside = np.flatnonzero((targets < 0) | (targets >= n_classes))
    if len(outside):
        raise ValueError(
            f"targets: row {outside[0]} is {targets[outside[0]]}; expected 0 to {n_classes - 1}."
        )
    broken = np.flatnonzero(~np.isfinite(probabilities).all(1))
    if len(broken):
        raise ValueError(
            f"probabilities: row {broken[0]} is {probabilities[broken[0]].tolist()}; "
            "expected finite values. Has the training diverged?"
        )
    for row, patient in enumerate(patients):
        if not isinstance(patient, str) or not patient:
            raise ValueError(f"patients: row {row} is {patient!r}; expected a patient's name.")
    return probabilities, targets, np.asarray(patients)

"""How often prediction sets hold the true class, and how much they say.

Each patient counts once, as in the guarantee of `util.metrics.conformal`: what is said of the films
is the mean over the patients of the mean over the films of each.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from util.metrics.conformal import PredictionSets
from util.metrics.intervals import UNDEFINED, Metric, metric, variance_interval
from util.metrics.scores import check_table
from util.metrics.subgroups import groups_of


def measure_sets(
    sets: PredictionSets,
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
) -> dict:
    """Ready for JSON; the other arguments are those of `check_table`.

    coverage        as wished for
    classes         class -> calibrated_on (patients), threshold (None: it is in every set), images,
                    patients, covered (metric): the share whose set holds their true class
    size            metric: how many classes are in a set
    empty, single, full, decided    metrics: shares of sets of no class, one class, all classes, and
                    of those that are the likeliest class and no other, so that --abstain decides
    error_of_decided                metric: the share of the latter that is wrong
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    inside, likeliest = sets.of(probabilities), probabilities.argmax(1)
    covered, size = _holds(inside, targets), inside.sum(1)
    decided = (size == 1) & _holds(inside, likeliest)

    def share(values: np.ndarray, among: np.ndarray | slice = slice(None)) -> Metric:
        return share_of_patients(values[among], patients[among])

    of_classes = {
        label: {
            "calibrated_on": int(sets.patients[k]),
            "threshold": float(sets.thresholds[k]) if sets.patients[k] >= sets.needed else None,
            **_counts(targets == k, patients),
            "covered": share(covered, targets == k),
        }
        for k, label in enumerate(classes)
    }
    part = share(size / len(classes))
    return {
        "coverage": sets.coverage,
        "classes": of_classes,
        "size": Metric(**{name: value * len(classes) for name, value in part.items()}),
        "empty": share(size == 0),
        "single": share(size == 1),
        "full": share(size == len(classes)),
        "decided": share(decided),
        "error_of_decided": share(likeliest != targets, decided),
    }


def coverage_by_group(
    sets: PredictionSets,
    probabilities: np.ndarray,
    columns: Mapping[str, Sequence[str]],
    targets: np.ndarray,
    patients: np.ndarray,
) -> dict[str, dict[str, dict]]:
    """column -> value -> images, patients, covered (metric), as in `subgroups`."""
    covered = _holds(sets.of(probabilities), targets)
    return {
        name: {
            value: {
                **_counts(own, patients),
                "covered": share_of_patients(covered[own], patients[own]),
            }
            for value, own in groups_of(values).items()
        }
        for name, values in columns.items()
    }


def falls_short(measured: Mapping) -> list[str]:
    """A sentence for each class of `measure_sets` that is shown to be covered less than wished."""
    wished, sentences = measured["coverage"], []
    for label, found in measured["classes"].items():
        covered = found["covered"]
        if covered["value"] is not None and covered["high"] < wished:
            ends = f"{covered['value']:.2f} ({covered['low']:.2f} - {covered['high']:.2f})"
            sentences.append(
                f"{label}: {ends} of its patients have it in their prediction set, where"
                f" {wished:g} was wished. Either they are of another kind than the"
                f" {found['calibrated_on']} of the calibration, or these are few."
            )
    return sentences


def share_of_patients(values: np.ndarray, patients: np.ndarray) -> Metric:
    """The mean over patients of the mean of `values` (n,), 0 to 1, over the images of each."""
    if len(values) == 0:
        return UNDEFINED.copy()
    _, member, images = np.unique(patients, return_inverse=True, return_counts=True)
    means = np.bincount(member, values) / images
    variance = means.var() / len(means)  # of the mean, where patients are drawn
    return metric(means.mean(), variance_interval(variance, means.mean(), len(means)))


def _holds(inside: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """inside (n, K) bool, class indices (n,) -> (n,) bool, whether each set has its class."""
    return np.take_along_axis(inside, classes[:, None], axis=1)[:, 0]


def _counts(rows: np.ndarray, patients: np.ndarray) -> dict[str, int]:
    return {"images": int(rows.sum()), "patients": len(set(patients[rows]))}

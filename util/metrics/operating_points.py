"""The probability from which an image counts as a class, for a wanted sensitivity."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from util.metrics.intervals import Metric, clustered_wilson, metric
from util.metrics.scores import check_table


class Thresholds(NamedTuple):
    """What was chosen for K classes: NaN where there was no image to choose on."""

    values: np.ndarray  # (K,) probabilities
    images: np.ndarray  # (K,) of the class, that it was chosen on
    sensitivity: float  # wished for


def choose(probabilities: np.ndarray, targets: np.ndarray, sensitivity: float) -> Thresholds:
    """The highest threshold for each class that finds `sensitivity` of its images here.

    `probabilities` (n, K), `targets` (n,) class indices, `sensitivity` above 0, at most 1. An image
    counts as class k when its probability of k is at or above the threshold; each class is
    taken by itself, so that an image may count as several or as none. Meant for validation: on
    other images the sensitivity will be another, see `measure`.
    """
    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity: {sensitivity}; expected above 0, at most 1.")
    thresholds = np.full(probabilities.shape[1], np.nan)
    for k in np.unique(targets):
        scores = np.sort(probabilities[targets == k, k])[::-1]
        needed = int(np.ceil(sensitivity * len(scores) - 1e-9))  # 0.56 * 25 is a little above 14
        thresholds[k] = scores[needed - 1]
    images = np.bincount(targets, minlength=len(thresholds))
    return Thresholds(thresholds, images, sensitivity)


def measure(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    thresholds: Thresholds,
) -> dict[str, dict]:
    """What `thresholds` of `choose` reach on another split, ready for JSON.

    The other arguments are those of `check_table`. Returns class ->
    {"wished_sensitivity", "chosen_on", "threshold", "sensitivity", "specificity"}: `chosen_on` are
    images, the last two are metrics with Wilson's intervals on the effective number of images. A
    class without a threshold has None for that and for what it reaches.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    points = {}
    for k, label in enumerate(classes):
        threshold = thresholds.values[k]
        known = not np.isnan(threshold)
        named, is_k = probabilities[:, k] >= threshold, targets == k
        points[label] = {
            "wished_sensitivity": thresholds.sensitivity,
            "chosen_on": int(thresholds.images[k]),
            "threshold": float(threshold) if known else None,
            "sensitivity": _proportion(named, is_k & known, patients),
            "specificity": _proportion(~named, ~is_k & known, patients),
        }
    return points


def _proportion(hits: np.ndarray, among: np.ndarray, patients: np.ndarray) -> Metric:
    """Proportion of `hits` among the images `among` (n,) bool; None where there are none."""
    value = hits[among].mean() if among.any() else np.nan
    return metric(value, clustered_wilson(hits[among], patients[among]))

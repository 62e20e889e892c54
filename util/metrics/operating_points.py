"""From which probability an image counts as a class, for a wanted sensitivity or specificity."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from util.metrics.intervals import Metric, clustered_wilson, metric
from util.metrics.scores import check_table


class Thresholds(NamedTuple):
    """What was chosen for K classes: NaN where there was no image to choose on."""

    values: np.ndarray  # (K,) probabilities
    images: np.ndarray  # (K,) that each was chosen on
    rate: str  # "sensitivity" or "specificity"
    wished: float


def choose(
    probabilities: np.ndarray, targets: np.ndarray, wished: float, rate: str = "sensitivity"
) -> Thresholds:
    """For each class a threshold that grants a `wished` rate here, in (0, 1].

    The highest that so large a share of its images reach or, with `rate` "specificity", the lowest
    that so large a share of the other images stay below. `probabilities` (n, K), `targets` (n,)
    class indices. An image counts as class k when its probability of k is at or above the
    threshold; each class is taken by itself, so that an image may count as several or as none.
    Meant for validation: on other images the rate will be another, see `measure`.
    """
    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    if rate not in ("sensitivity", "specificity"):
        raise ValueError(f"rate: found {rate}; expected sensitivity or specificity")
    if not 0 < wished <= 1:
        raise ValueError(f"{rate}: {wished}; expected above 0, at most 1.")
    thresholds = np.full(probabilities.shape[1], np.nan)
    images = np.zeros(len(thresholds), int)
    for k, scores in enumerate(probabilities.T):
        scores = np.sort(scores[(targets == k) == (rate == "sensitivity")])
        images[k] = len(scores)
        if not len(scores):
            continue
        needed = int(np.ceil(wished * len(scores) - 1e-9))  # 0.56 * 25 is a little above 14
        if rate == "sensitivity":
            thresholds[k] = scores[-needed]
        else:
            thresholds[k] = np.nextafter(scores[needed - 1], np.inf)
    return Thresholds(thresholds, images, rate, wished)


def measure(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    thresholds: Thresholds,
) -> dict[str, dict]:
    """What `thresholds` of `choose` reach on another split, ready for JSON.

    The other arguments are those of `check_table`. Returns class ->
    {"rate", "wished", "chosen_on", "threshold", "sensitivity", "specificity"}: the first four are
    those of `thresholds`, the last two metrics with Wilson's intervals on the effective number of
    images. A class without a threshold has None for that and for what it reaches.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    points = {}
    for k, label in enumerate(classes):
        threshold = thresholds.values[k]
        known = not np.isnan(threshold)
        named, is_k = probabilities[:, k] >= threshold, targets == k
        points[label] = {
            "rate": thresholds.rate,
            "wished": thresholds.wished,
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

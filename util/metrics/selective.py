"""How many images are named wrongly if the least sure ones are left undecided.

The doubt about an image is what its likeliest class lacks to a probability of 1. Geifman & El-Yaniv
(2017), NeurIPS, arXiv:1705.08500. Images that are as sure as each other are decided together.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from util.metrics.intervals import UNDEFINED, bootstrap, bootstrap_interval, metric
from util.metrics.probabilities import check_shares
from util.metrics.ranking import ratio
from util.metrics.scores import check_table

SHARES = (1.0, 0.9, 0.8, 0.7, 0.5)
DRAWS = 1000
ROUNDING = 1e-9  # of a share, which is a sum
MISTAKE = 2  # of an error, for bootstrap_interval; without it 78 of 100 may hold the truth


def risk_coverage(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
    prevalence: Sequence[float] | None = None,
) -> dict:
    """{"area": metric, "points": [...]}, ready for JSON. Arguments as for `check_table`.

    area: the error over the share that is decided, on average from none to all of them (AURC;
    Geifman, Uziel & El-Yaniv 2019, ICLR, arXiv:1805.08206); where doubt is a guess it is the error
    of all. A point is {"decided": share of the images, "probability": of the likeliest class from
    which they are, "error": metric}, one for each of SHARES.

    prevalence: (K,) adding up to 1, the share of each class in a population that `probabilities`
    were moved to, whose images look like these; None for the images as they are. Without images of
    a class that it expects nothing is known: no points, and an undefined area.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    confidence, wrong = probabilities.max(1), probabilities.argmax(1) != targets
    if prevalence is not None:
        prevalence = check_shares(prevalence, len(classes), "prevalence")

    def counted(weights: np.ndarray) -> np.ndarray:
        return weights if prevalence is None else in_population(weights, targets, prevalence)

    weights = counted(np.ones(len(targets)))
    if np.isnan(weights).any():
        return {"area": UNDEFINED.copy(), "points": []}
    share = curve(probabilities, targets, weights)[0]
    at = np.searchsorted(share, np.array(SHARES) - ROUNDING)
    least = np.unique(confidence)[::-1][at]
    decided = confidence >= least[:, None]  # (points, n)

    def errors(weights: np.ndarray) -> np.ndarray:
        """The area, and the error at each point: (..., n) -> (..., 1 + points)."""
        weights = counted(weights)
        areas = area(*curve(probabilities, targets, weights))
        at_points = ratio(weights @ (decided & wrong).T, weights @ decided.T)
        return np.concatenate([areas[..., None], at_points], axis=-1)

    values = errors(np.ones(len(targets)))
    drawn = bootstrap(errors, patients, DRAWS, seed).T
    clusters = [len(set(patients[(weights > 0) & some])) for some in (True, *decided)]
    intervals = map(partial(bootstrap_interval, mistake=MISTAKE), drawn, values, clusters)
    whole, *parts = map(metric, values, intervals)
    points = [
        {"decided": float(share[row]), "probability": float(limit), "error": error}
        for row, limit, error in zip(at, least, parts, strict=True)
    ]
    return {"area": whole, "points": points}


def in_population(weights: np.ndarray, targets: np.ndarray, prevalence: np.ndarray) -> np.ndarray:
    """What each image counts for where the classes are as common as `prevalence` (K,).

    weights (..., n): how often it was drawn; targets (n,) -> (..., n), adding up to 1; NaN where no
    image was drawn of a class that is expected.
    """
    of_class = np.eye(len(prevalence))[targets]  # (n, K)
    drawn = weights @ of_class
    each = ratio(np.broadcast_to(prevalence, drawn.shape), drawn, otherwise=0.0)
    lost = ((drawn == 0) & (prevalence > 0)).any(-1)
    return np.where(lost[..., None], np.nan, weights * each[..., targets])


def curve(
    probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The share of the images that is decided, and the error among them, the surest first.

    probabilities (n, K), targets (n,), weights (..., n) -> twice (..., m), of m different
    confidences.
    """
    confidence, wrong = probabilities.max(1), probabilities.argmax(1) != targets
    order = np.argsort(-confidence)
    starts = np.append(0, np.flatnonzero(np.diff(confidence[order])) + 1)  # of each run of ties
    weights = weights[..., order]
    decided = np.add.reduceat(weights, starts, axis=-1).cumsum(-1)
    mistakes = np.add.reduceat(weights * wrong[order], starts, axis=-1).cumsum(-1)
    return decided / decided[..., -1:], ratio(mistakes, decided, otherwise=0.0)


def area(decided: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Under a `curve`, whose error is that of its right end: (..., m) -> (...)."""
    return (np.diff(decided, prepend=0, axis=-1) * error).sum(-1)

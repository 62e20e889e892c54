"""How many images are named wrongly if the least sure ones are left undecided.

The doubt about an image is what its likeliest class lacks to a probability of 1. Geifman & El-Yaniv
(2017), NeurIPS, arXiv:1705.08500. Images that are as sure as each other are decided together.
"""

from collections.abc import Sequence

import numpy as np

from util.metrics.intervals import bootstrap, bootstrap_interval, clustered_wilson, metric
from util.metrics.ranking import ratio
from util.metrics.scores import check_table

SHARES = (1.0, 0.9, 0.8, 0.7, 0.5)
DRAWS = 1000


def risk_coverage(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> dict:
    """{"area": metric, "points": [...]}, ready for JSON. Arguments as for `check_table`.

    area: the error over the share that is decided, on average from none to all of them (AURC;
    Geifman, Uziel & El-Yaniv 2019, ICLR, arXiv:1805.08206); where doubt is a guess it is the error
    of all. A point is {"decided": share of the images, "probability": of the likeliest class from
    which they are, "error": metric}, one for each of SHARES.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)

    def areas(weights: np.ndarray) -> np.ndarray:
        return area(*curve(probabilities, targets, weights))

    value, n_patients = float(areas(np.ones(len(targets)))), len(set(patients))
    drawn = bootstrap(areas, patients, DRAWS, seed)
    confidence, wrong = probabilities.max(1), probabilities.argmax(1) != targets
    surest_first = np.sort(confidence)[::-1]
    points = []
    for share in SHARES:
        least = surest_first[int(np.ceil(share * len(targets))) - 1]
        decided = confidence >= least
        interval = clustered_wilson(wrong[decided], patients[decided])
        point = {"decided": float(decided.mean()), "probability": float(least)}
        points.append(point | {"error": metric(wrong[decided].mean(), interval)})
    return {"area": metric(value, bootstrap_interval(drawn, value, n_patients)), "points": points}


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

"""How many images are named wrongly if the least sure ones are left undecided.

The doubt about an image is what its likeliest class lacks to a probability of 1. Geifman & El-Yaniv
(2017), NeurIPS, arXiv:1705.08500. Images that are as sure as each other are decided together.
"""

from collections.abc import Sequence

import numpy as np

from util.metrics.intervals import (
    UNDEFINED,
    bootstrap,
    bootstrap_interval,
    clustered_wilson,
    mean_interval,
    metric,
)
from util.metrics.probabilities import check_shares
from util.metrics.ranking import ratio
from util.metrics.scores import check_table

SHARES = (1.0, 0.9, 0.8, 0.7, 0.5)
DRAWS = 1000
ROUNDING = 1e-9  # of a share, which is a sum


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

    def weighed(drawn: np.ndarray) -> np.ndarray:
        return drawn if prevalence is None else in_population(drawn, targets, prevalence)

    weights = weighed(np.ones(len(targets)))
    if np.isnan(weights).any():
        return {"area": UNDEFINED.copy(), "points": []}
    share, error = curve(probabilities, targets, weights)
    points, surest_first = [], np.unique(confidence)[::-1]
    for row in np.searchsorted(share, np.array(SHARES) - ROUNDING):
        least = surest_first[row]
        decided = confidence >= least
        if prevalence is None:
            interval = clustered_wilson(wrong[decided], patients[decided])
        else:
            interval = _joined(
                wrong[decided], patients[decided], targets[decided], weights[decided]
            )
        point = {"decided": float(share[row]), "probability": float(least)}
        points.append(point | {"error": metric(error[row], interval)})

    def areas(drawn: np.ndarray) -> np.ndarray:
        return area(*curve(probabilities, targets, weighed(drawn)))

    value, drawn = float(area(share, error)), bootstrap(areas, patients, DRAWS, seed)
    interval = bootstrap_interval(drawn, value, effective_patients(weights, patients))
    return {"area": metric(value, interval), "points": points}


def _joined(
    wrong: np.ndarray, patients: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """Interval of the mean of `wrong` (n,), from Wilson's of each class, so that one without a
    mistake keeps the doubt of its few patients. Classes are taken to be of different patients, and
    their shares to be known.
    """
    weighing = [k for k in np.unique(targets) if weights[targets == k].sum() > 0]
    of_class = [targets == k for k in weighing]
    values = np.array([wrong[some].mean() for some in of_class])
    intervals = np.array([clustered_wilson(wrong[some], patients[some]) for some in of_class])
    shares = np.array([weights[some].sum() for some in of_class]) / weights.sum()
    return mean_interval(values, intervals, shares)


def effective_patients(weights: np.ndarray, patients: np.ndarray) -> float:
    """How many patients of equal weight know as much as these: (sum)^2 / sum of squares of what
    their images weigh, (n,). Kish (1965), Survey Sampling.
    """
    _, member = np.unique(patients, return_inverse=True)
    each = np.bincount(member, weights)
    return float(each.sum() ** 2 / (each**2).sum())


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

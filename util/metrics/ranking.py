"""Metrics of a ranking: how well scores put a class's images first. Needs only numpy.

Each class is ranked against the rest. What takes weights takes any leading dimensions
(..., n), so that the value and its bootstrap draws come from the same line of code.
"""

import numpy as np


def auroc(
    probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Area under the ROC curve of each class against the rest: (K,), or with `weights` (..., K).

    `probabilities` (n, K), `targets` (n,) class indices, `weights` (..., n). It is the chance that
    an image of the class scores higher than one of the rest, ties counting half; NaN when either
    side is empty. Hanley & McNeil (1982), Radiology 143:29.
    """
    return rank_scores(probabilities, targets, weights)[0]


def average_precision(
    probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Mean precision at the images of each class, the best score first: (K,) or (..., K).

    Shapes as for `auroc`. It is the area under the steps of the precision-recall curve, without
    interpolation; NaN for a class without images. A ranking by chance has the share of the class,
    so that values of splits of another mixture do not compare.
    Boyd, Eng & Page (2013), ECML PKDD, LNCS 8190:451.
    """
    return rank_scores(probabilities, targets, weights)[1]


def rank_scores(
    probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """AUROC and average precision of each class from one sorting: (2, K), or (2, ..., K)."""
    if weights is None:
        weights = np.ones(len(targets))
    columns = enumerate(np.asarray(probabilities).T)
    return np.stack([_both(scores, targets == k, weights) for k, scores in columns], axis=-1)


def _both(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """scores (n,), positive (n,) bool, weights (..., n) -> (2, ...)."""
    order = np.argsort(-scores)
    starts = np.append(0, np.flatnonzero(np.diff(scores[order])) + 1)  # of each run of ties
    weights, positive = weights[..., order], positive[order]
    hits = np.add.reduceat(weights * positive, starts, axis=-1)
    alarms = np.add.reduceat(weights, starts, axis=-1) - hits
    true, false = hits.cumsum(-1), alarms.cumsum(-1)
    ahead = true - hits / 2  # all positives above, and half of the ties
    area = ratio((alarms * ahead).sum(-1), true[..., -1] * false[..., -1])
    precise = (hits * ratio(true, true + false, otherwise=0.0)).sum(-1)
    return np.stack([area, ratio(precise, true[..., -1])])


def ratio(part: np.ndarray, whole: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """part / whole, and `otherwise` where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(part), otherwise), where=whole > 0)

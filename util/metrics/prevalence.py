"""A population in which classes are as common as stated, not as in the split."""

from collections.abc import Sequence

import numpy as np

from util.metrics.intervals import Metric, clustered_wilson, metric
from util.metrics.probabilities import check_shares
from util.metrics.scores import check_table


def at_prevalence(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    prevalence: Sequence[float],
) -> dict:
    """{"recall": {class: metric}, "precision": {class: metric}} among `prevalence` (K,) of each.

    Arguments as for `check_table`; `probabilities` are of `to_prevalence` where they shall suit
    that population, and `prevalence` adds up to 1. Only the split's rates are used: how often a
    class is found, and how often each other class is taken for it. Both are of the most probable
    class. Precision is None where a class that `prevalence` expects has no images, 0 for a class
    never given.

    The rates have Wilson's intervals on their patients, so that a rate of no false alarms keeps its
    doubt; they are joined by MOVER, in the form for ratios of Donner & Zou (2012), Stat. Methods
    Med. Res. 21:347. Nothing is drawn.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    prevalence = check_shares(prevalence, len(classes), "prevalence")
    named = probabilities.argmax(1)
    scores = {"recall": {}, "precision": {}}
    for k, label in enumerate(classes):
        hits, of_class = (named == k)[targets == k], patients[targets == k]
        recall = hits.mean() if len(hits) else np.nan
        scores["recall"][label] = metric(recall, clustered_wilson(hits, of_class))
        scores["precision"][label] = _precision(named == k, targets, patients, prevalence, k)
    return scores


def _precision(
    named: np.ndarray, targets: np.ndarray, patients: np.ndarray, prevalence: np.ndarray, k: int
) -> Metric:
    """Precision of class `k`, which the images `named` (n,) bool are given."""
    rates = np.full((len(prevalence), 3), np.nan)  # value, low, high
    for j in np.unique(targets):
        hits = named[targets == j]
        rates[j] = hits.mean(), *clustered_wilson(hits, patients[targets == j])
    rates = np.where(prevalence[:, None] > 0, prevalence[:, None] * rates, 0)
    hits, alarms = rates[k], _sum(np.delete(rates, k, axis=0))
    if np.isnan(hits[0] + alarms[0]):
        return metric(np.nan, (np.nan, np.nan))
    if hits[0] + alarms[0] == 0:
        return metric(0.0, (0.0, 1.0))  # never given: nothing is known
    # Of the odds, and of their inverse.
    low, high = _ratio_low(hits, alarms), _ratio_low(alarms, hits)
    return metric(hits[0] / (hits[0] + alarms[0]), (low / (1 + low), 1 / (1 + high)))


def _sum(rates: np.ndarray) -> np.ndarray:
    """Sum of independent `rates` (k, 3) of value, low and high: (3,)."""
    value = rates[:, 0].sum()
    down, up = np.linalg.norm(rates[:, 1:] - rates[:, :1], axis=0)
    return np.array([value, max(0.0, value - down), value + up])


def _ratio_low(over: np.ndarray, under: np.ndarray) -> float:
    """Lower limit of over / under, both (3,) of value, low and high. 0 when `over` may be 0."""
    (a, low, _), (b, _, high) = over, under
    if low <= 0 or high <= 0:
        return 0.0 if low <= 0 else np.inf
    # Donner & Zou's (10): the root at which the difference `over - ratio * under` has its limit 0.
    inner = (a * b) ** 2 - low * (2 * a - low) * high * (2 * b - high)
    return float(low * (2 * a - low) / (a * b + max(0.0, inner) ** 0.5))

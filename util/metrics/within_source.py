"""How well classes are told apart where the source cannot help: between images of one source.

A network that knows only which source an image is from ranks whole classes rightly where classes
come from different sources. Between two images of one source it can only guess.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from util.metrics.intervals import bootstrap, bootstrap_interval, metric
from util.metrics.ranking import auroc, ratio
from util.metrics.scores import MISTAKE, check_table

DRAWS = 1000
SMALLEST = np.finfo(float).tiny  # stands for a probability of 0, so that odds are defined


def within_source(
    probabilities: np.ndarray,
    sources: Sequence[str],
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> dict:
    """AUROCs over pairs of images of one source, ready for JSON.

    `sources` are n names, the other arguments those of `check_table`. The within-source AUROC of
    two kinds of images is the chance that one of the first kind scores higher than one of the
    second of the same source, ties counting half. A class is ranked against the rest by its
    probability, and against another class by the odds between the two.

    Returns
        macro_auroc    metric: the mean over the classes against the rest that have a value
        comparisons    "A against the rest" for each class, and "A against B" for each two of more
                       than two -> comparison
    A comparison has
        auroc          metric, undefined where no source has both kinds
        images, patients, pairs    how many there are in the sources that have both kinds
        sources        the names of these, the one with the most pairs first

    Intervals are of bootstrap samples of patients, as those of the AUROC in `evaluate_predictions`.
    In each source the patients of the smaller kind count, and for the macro average the mean of
    that over its classes.
    """
    probabilities, targets, patients = check_table(probabilities, targets, patients, classes)
    if len(sources) != len(targets):
        raise ValueError(f"sources: {len(sources)} names; expected {len(targets)}, one per image.")
    sources = np.asarray(sources)
    of_classes = against_the_rest(probabilities, targets, sources)
    compared = dict(zip([f"{name} against the rest" for name in classes], of_classes, strict=True))
    for a, b in combinations(range(len(classes)), 2) if len(classes) > 2 else ():
        scores = odds(probabilities[:, a], probabilities[:, b])
        pair = strata(scores, targets == a, targets == b, sources)
        compared[f"{classes[a]} against {classes[b]}"] = pair

    def areas(weights: np.ndarray) -> np.ndarray:
        return aurocs([*compared.values()], len(classes), weights)

    values = areas(np.ones((1, len(targets))))[0]
    drawn = bootstrap(areas, patients, DRAWS, seed)
    sizes = [smaller_side(kinds, patients) for kinds in compared.values()]
    sizes = [np.mean([size for size in sizes[: len(classes)] if size] or 0), *sizes]
    macro, *each = [
        metric(value, bootstrap_interval(column, value, size, MISTAKE))
        for value, column, size in zip(values, drawn.T, sizes, strict=True)
    ]
    comparisons = {
        name: {"auroc": measured, **_counts(kinds, patients)}
        for measured, (name, kinds) in zip(each, compared.items(), strict=True)
    }
    return {"macro_auroc": macro, "comparisons": comparisons}


def within_source_auroc(
    probabilities: np.ndarray, targets: np.ndarray, sources: np.ndarray
) -> float:
    """The macro average of `within_source`, without an interval; NaN where no class has a value."""
    of_classes = against_the_rest(probabilities, targets, sources)
    return float(aurocs(of_classes, len(of_classes), np.ones(len(targets)))[0])


def fewest_patients(
    targets: np.ndarray, sources: np.ndarray, patients: np.ndarray, n_classes: int
) -> int:
    """On how many patients the shakiest class of `within_source_auroc` rests; 0 if it is NaN."""
    of_classes = against_the_rest(np.zeros((len(targets), n_classes)), targets, sources)
    return min(filter(None, (smaller_side(each, patients) for each in of_classes)), default=0)


# ---- Images of two kinds, source by source ----


class Stratum(NamedTuple):
    """The m images of a source that has both of two kinds."""

    source: str
    rows: np.ndarray  # (m,) of all images
    scores: np.ndarray  # (m,), higher for the first kind
    first: np.ndarray  # (m,) bool, whether it is of the first kind


def strata(
    scores: np.ndarray, first: np.ndarray, second: np.ndarray, sources: np.ndarray
) -> list[Stratum]:
    """Of n images the two kinds `first` and `second`, (n,) bool, by the sources that have both."""
    found = []
    for source in np.intersect1d(sources[first], sources[second]):
        rows = np.flatnonzero((sources == source) & (first | second))
        found.append(Stratum(str(source), rows, scores[rows], first[rows]))
    return found


def stratified_auroc(of_sources: Sequence[Stratum], weights: np.ndarray) -> np.ndarray:
    """The AUROC within each source, weighted by its pairs: `weights` (..., n) -> (...)."""
    concordant, pairs = np.zeros((2, *weights.shape[:-1]))
    for _, rows, scores, first in of_sources:
        own = weights[..., rows]
        number = own[..., first].sum(-1) * own[..., ~first].sum(-1)
        area = auroc(scores[:, None], ~first, own)[..., 0]  # class 0 is the first kind
        concordant = concordant + np.where(number > 0, area * number, 0)
        pairs = pairs + number
    return ratio(concordant, pairs)


def aurocs(
    comparisons: Sequence[Sequence[Stratum]], n_averaged: int, weights: np.ndarray
) -> np.ndarray:
    """The mean of the first `n_averaged` of the C that have a value, then of each its own:
    `weights` (..., n) -> (..., 1 + C)."""
    areas = np.stack([stratified_auroc(kinds, weights) for kinds in comparisons], axis=-1)
    averaged = areas[..., :n_averaged]
    mean = ratio(np.nansum(averaged, axis=-1), (~np.isnan(averaged)).sum(-1))
    return np.concatenate([mean[..., None], areas], axis=-1)


def smaller_side(of_sources: Sequence[Stratum], patients: np.ndarray) -> int:
    """The patients, names (n,), of the kind that has fewer of them, summed over the sources."""
    return sum(
        min(len(set(patients[rows[kind]])) for kind in (first, ~first))
        for _, rows, _, first in of_sources
    )


def odds(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of probabilities (n,), also where they are 0 or next to 1."""
    return np.maximum(one, SMALLEST) / np.maximum(other, SMALLEST)


def against_the_rest(
    probabilities: np.ndarray, targets: np.ndarray, sources: np.ndarray
) -> list[list[Stratum]]:
    """The images of each class and the rest."""
    columns = enumerate(probabilities.T)
    return [strata(scores, targets == k, targets != k, sources) for k, scores in columns]


def _counts(of_sources: Sequence[Stratum], patients: np.ndarray) -> dict:
    pairs = {of.source: int(of.first.sum() * (~of.first).sum()) for of in of_sources}
    rows = [row for of in of_sources for row in of.rows]
    return {
        "images": len(rows),
        "patients": len(set(patients[rows])),
        "pairs": sum(pairs.values()),
        "sources": sorted(pairs, key=pairs.get, reverse=True),
    }

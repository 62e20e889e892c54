"""95 % intervals for numbers measured on images that cluster in patients.

Two images of one patient say less than two images of two patients, so both methods here count
or draw patients.
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TypedDict

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95
UPPER_TAIL = (1 + LEVEL) / 2
Z = NormalDist().inv_cdf(UPPER_TAIL)  # 1.96
FEWEST_CLUSTERS = 4  # with fewer patients a variance between patients is a guess
ROUNDING = 1e-6  # a spread below it is rounding
CHUNK = 2_000_000  # image weights that the bootstrap holds at once: 16 MB


def wilson_interval(proportion: float, size: float) -> tuple[float, float]:
    """Wilson's score interval of a `proportion` in [0, 1] seen in `size` independent trials.

    `size` need not be whole. Without trials nothing is known: (0, 1).
    Wilson (1927), J. Am. Stat. Assoc. 22:209.
    """
    if size == 0:
        return 0.0, 1.0
    pull = Z**2 / size
    middle = (proportion + pull / 2) / (1 + pull)
    variance = proportion * (1 - proportion) / size + pull / (4 * size)
    half = Z * variance**0.5 / (1 + pull)
    # At 0 and 1 one end is the proportion itself, but for rounding.
    low, high = min(middle - half, proportion), max(middle + half, proportion)
    return float(max(low, 0)), float(min(high, 1))


def clustered_wilson(hits: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Wilson's interval of the mean of `hits` (n,) bool, whose trials belong to `clusters` (n,).

    Clusters that agree within themselves widen it, single trials leave it as it is, none is (0, 1).
    Of the intervals for clustered data that Dean & Pagano (2015), J. Surv. Stat. Methodol. 3:484,
    compare, this is Wilson's on the effective sample size.
    """
    if len(hits) == 0:
        return wilson_interval(0.0, 0)
    return wilson_interval(hits.mean(), effective_size(hits, clusters))


def effective_size(hits: np.ndarray, clusters: np.ndarray) -> float:
    """Independent trials that would fix the mean of `hits` (n,) as well as these clustered ones do.

    It is n over the design effect (Rao & Scott 1992, Biometrics 48:577), never more than n, and
    lowered for the few degrees of freedom of few clusters (Korn & Graubard 1998, Surv. Methodol.
    24:193). Where no variance can be estimated (all hits, no hits, under four clusters) it is the
    number of clusters. n must be at least 1.
    """
    n = len(hits)
    _, member, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    n_clusters = len(sizes)
    proportion = hits.mean()
    if proportion in (0, 1) or n_clusters < FEWEST_CLUSTERS:
        return float(n_clusters)
    # The jackknife: how far the proportion moves as each cluster is left out.
    moves = np.bincount(member, hits - proportion) / (n - sizes)
    variance = (n_clusters - 1) / n_clusters * (moves**2).sum()
    independent = proportion * (1 - proportion) / (n - 1)
    few = (stdtrit(n_clusters - 1, UPPER_TAIL) / stdtrit(n - 1, UPPER_TAIL)) ** 2
    return float(n / max(1.0, variance / independent * few))


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    clusters: np.ndarray,
    draws: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Values of a weighted statistic when whole clusters (n,) are drawn with replacement.

    `statistic` maps weights (b, n), how often each draw took each trial, to values (b, ...); it is
    called on some draws at a time, so that memory stays bounded. Returns (draws, ...). The same
    seed draws the same clusters whatever the statistic. Efron & Tibshirani (1993), chapter 8.
    """
    generator = np.random.default_rng(seed)
    _, member = np.unique(clusters, return_inverse=True)
    n_clusters = int(member.max()) + 1
    at_once = max(1, CHUNK // len(member))
    values = []
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        taken = generator.integers(n_clusters, size=(rows, n_clusters))
        values.append(statistic(row_counts(taken, n_clusters)[:, member]))
    return np.concatenate(values)


def row_counts(values: np.ndarray, n_values: int, weights: np.ndarray | None = None) -> np.ndarray:
    """`np.bincount` of each row: how often, or with what weight, it holds 0 ... n_values - 1.

    `values` (b, n) or, the same in all rows, (n,); `weights` (b, n). Returns (b, n_values) float.
    """
    n_rows = len(values if weights is None else weights)
    cells = np.arange(n_rows)[:, None] * n_values + values
    flat = None if weights is None else weights.ravel()
    counts = np.bincount(cells.ravel(), flat, minlength=n_rows * n_values)
    return counts.reshape(n_rows, n_values).astype(float, copy=False)


def percentile_interval(drawn: np.ndarray, value: float) -> tuple[float, float]:
    """The middle 95 % of bootstrap values `drawn` (draws,), stretched where needed to hold `value`.

    Draws in which the statistic is undefined (NaN) do not count.
    """
    defined = drawn[~np.isnan(drawn)]
    if len(defined) == 0:
        return float(value), float(value)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(min(low, value)), float(max(high, value))


def leaning_interval(drawn: np.ndarray, value: float) -> tuple[float, float]:
    """`percentile_interval`, stretched to hold the accelerated one as well (BCa).

    Where one of two models is nearly perfect, their difference can hardly grow, and percentiles of
    `drawn` (draws,) lean too little. The acceleration is read off the skewness of the draws, which
    spares the jackknife. Efron (1987), J. Am. Stat. Assoc. 82:171.
    """
    low, high = percentile_interval(drawn, value)
    defined = drawn[~np.isnan(drawn)]
    if len(defined) == 0 or (spread := defined.std()) < ROUNDING:
        return low, high
    below = ((defined < value).mean() + (defined <= value).mean()) / 2
    standard = NormalDist()
    bias = standard.inv_cdf(min(max(below, 0.5 / len(defined)), 1 - 0.5 / len(defined)))
    acceleration = ((defined - defined.mean()) ** 3).mean() / spread**3 / 6
    shifted = [bias + z for z in (-Z, Z)]
    levels = [standard.cdf(bias + z / (1 - acceleration * z)) for z in shifted]
    accelerated = np.quantile(defined, levels)
    return float(min(low, *accelerated)), float(max(high, *accelerated))


def bootstrap_interval(
    drawn: np.ndarray, value: float, clusters: float, mistake: float = math.inf
) -> tuple[float, float]:
    """Wilson's interval of `value` in [0, 1] on as many trials as would vary like `drawn` (draws,).

    Near 0 and 1 percentiles are far too short: for an AUROC of 0.98 on ten patients they hold the
    truth in 79 of 100 samples, this in 95. Where no draw differs, as for a class without a mistake,
    the bootstrap has seen no variance, and the number of `clusters` stands in.

    mistake: how many clusters one mistake counts for, where only mistakes show the variance.
    """
    defined = drawn[~np.isnan(drawn)]
    variance = defined.var() if len(defined) else 0.0
    return variance_interval(variance, value, clusters, mistake)


def variance_interval(
    variance: float, value: float, clusters: float, mistake: float = math.inf
) -> tuple[float, float]:
    """The `bootstrap_interval` of draws of this variance."""
    if variance < ROUNDING**2 or not 0 < value < 1:
        return wilson_interval(value, clusters)
    size = value * (1 - value) / variance
    rarer = size * min(value, 1 - value)
    return wilson_interval(value, size / few_clusters(min(clusters, mistake * rarer)) ** 2)


def few_clusters(clusters: float) -> float:
    """How much wider an interval has to be, as a bootstrap saw the variance of `clusters` only.

    1 for many: Student's t in place of the normal, and n - 1 in place of n, by which a bootstrap
    divides. `clusters` need not be whole; under four it is that of four.
    """
    clusters = max(clusters, FEWEST_CLUSTERS)
    return float((clusters / (clusters - 1)) ** 0.5 * stdtrit(clusters - 1, UPPER_TAIL) / Z)


def mean_interval(
    values: np.ndarray, intervals: np.ndarray, shares: np.ndarray | None = None
) -> tuple[float, float]:
    """Interval of the mean of independent `values` (k,) from their own `intervals` (k, 2).

    shares: (k,) adding up to 1, what each counts for; None: all the same.

    Variances are recovered from the distance of each limit to its value, so that an interval that
    leans to one side keeps leaning. Zou & Donner (2008), Stat. Med. 27:1693 (MOVER).
    """
    if shares is None:
        shares = np.full(len(values), 1 / len(values))
    mean = float(shares @ values)
    down, up = np.linalg.norm(shares[:, None] * (intervals - values[:, None]), axis=0)
    return mean - float(down), mean + float(up)


class Metric(TypedDict):
    """A number with the ends of its 95 % interval, as metrics.json holds it; None if undefined."""

    value: float | None
    low: float | None
    high: float | None


UNDEFINED = Metric(value=None, low=None, high=None)


def metric(value: float, interval: Sequence[float]) -> Metric:
    """UNDEFINED for a value that is NaN."""
    if np.isnan(value):
        return UNDEFINED.copy()
    return Metric(value=float(value), low=float(interval[0]), high=float(interval[1]))

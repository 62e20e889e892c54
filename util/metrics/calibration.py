"""Whether probabilities mean what they say, and the temperature that makes them. No torch here."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax

from util.metrics.intervals import (
    FEWEST_CLUSTERS,
    Z,
    bootstrap,
    bootstrap_interval,
    few_clusters,
    metric,
    row_counts,
    wilson_interval,
)
from util.metrics.scores import check_table

BINS = 15
TEMPERATURES = (0.05, 20.0)
# Tails of the interval of the calibration error. 0.025 at the second would leave 5 % of the truths
# above it in simulations: noise makes the gaps seen lie wider than the true ones do.
LOWER, UPPER = 0.975, 0.01
SMALLEST = np.finfo(float).eps  # probability in a log-loss, in the place of 0


# ---- Temperature ----


def fit_temperature(
    logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The temperature T, in 0.05 to 20, whose softmax(logits / T) fits `targets` best.

    `logits` (n, K), `targets` (n,) class indices, `weights` (K,) of the classes, as in the loss of
    the training. It has the least weighted negative log-likelihood; no class changes its place.
    Guo et al. (2017), ICML, arXiv:1706.04599.

    1.0, which changes nothing, where these images say nothing: when there are none of any weight,
    when all logits of an image are alike, and when the sharpest temperature is the best, as it is
    whenever no image is named wrong. A model worse than chance gets the flattest, 20.

    Raises ValueError for logits that are not finite or do not fit the targets.
    """
    logits, targets = np.asarray(logits, float), np.asarray(targets)
    if logits.ndim != 2 or targets.shape != logits.shape[:1]:
        raise ValueError(
            f"logits, targets: shapes {logits.shape}, {targets.shape}; expected (n, K) and (n,)."
        )
    if not np.isfinite(logits).all():
        row = np.flatnonzero(~np.isfinite(logits).all(1))[0]
        raise ValueError(
            f"logits: row {row} is {logits[row].tolist()}; expected finite values. "
            "Has the training diverged?"
        )
    of_image = np.ones(len(targets)) if weights is None else np.asarray(weights, float)[targets]
    logits, targets, of_image = (part[of_image > 0] for part in (logits, targets, of_image))
    if len(targets) == 0 or np.ptp(logits, axis=1).max() == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        chances = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -(of_image * chances[np.arange(len(targets)), targets]).sum() / of_image.sum()

    bounds = np.log(TEMPERATURES)  # in log T the loss has one minimum, and halves weigh as doubles
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    at_the_sharpest = best.x - bounds[0] < 1e-3 or loss(bounds[0]) <= best.fun
    return 1.0 if at_the_sharpest else float(np.exp(best.x))


# ---- Errors ----


def calibration(
    probabilities: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    seed: int = 0,
    draws: int = 1000,
) -> dict:
    """Calibration error, Brier score and log-loss with intervals; bins of a reliability diagram.

    `probabilities` (n, K), `targets` (n,) class indices, `patients` (n,) names; ValueError for
    arrays that do not fit each other. `draws` samples of patients, fixed by `seed`, give the
    intervals. Returns

    "expected_calibration_error": metric, the mean distance of confidence, the highest probability,
    and accuracy over 15 equally wide bins of confidence. A bin counts by its images and holds its
    upper end. Guo et al. (2017), arXiv:1706.04599. Biased upward: chance moves accuracy away from
    confidence, never closer on the whole. The interval is of the true error, which the value
    exaggerates; it holds the value all the same.

    "expected_by_chance": the calibration error that the noise of as many patients shows on average,
    be every probability right.

    "brier": metric, the mean over images of the squared error summed over classes: 0 best, 2 worst.
    This is the form of Brier (1950), Mon. Weather Rev. 78:1; for two classes it is twice the one of
    a single probability.

    "log_loss": metric, the mean over images of -log of the probability of the true class, 0 best.

    "bins": those that hold images, in rising order, each {"low", "high", "images", "confidence",
    "accuracy"}, the last two means over its images.
    """
    table = np.asarray(probabilities, float)
    table, targets, patients = check_table(table, targets, patients, range(table.shape[-1]))
    names, patients = np.unique(patients, return_inverse=True)
    confidence, right = table.max(1), table.argmax(1) == targets
    bin_of = bins_of(confidence)
    # Accuracy less confidence of each bin, times its part of the images.
    gaps = np.bincount(bin_of, right - confidence, minlength=BINS) / len(targets)
    errors = ((table - np.eye(table.shape[1])[targets]) ** 2).sum(1)
    losses = -np.log(table[np.arange(len(targets)), targets].clip(SMALLEST))

    def drawn_gaps_and_scores(weights: np.ndarray) -> np.ndarray:
        images = weights.sum(1, keepdims=True)
        drawn = row_counts(bin_of, BINS, weights * (right - confidence)) / images
        scores = [(weights @ of_image)[:, None] / images for of_image in (errors, losses)]
        return np.column_stack([drawn, *scores])

    drawn = bootstrap(drawn_gaps_and_scores, patients, draws, seed)
    noise = _no_less_than_chance(drawn[:, :BINS] - gaps, confidence)
    if right.all():
        # No draw has a mistake, so that none knows what one costs.
        error = _without_mistakes(confidence, len(names))
        score = wilson_interval(errors.mean() / 2, len(names))
        dearest = -np.log(max(1 - confidence.max(), SMALLEST))  # mistake
        loss = 0.0, losses.mean() + _mistakes(len(names)) * dearest
    else:
        error = _error_interval(gaps, noise) if len(names) >= FEWEST_CLUSTERS else (0.0, 1.0)
        # The few patients with a mistake make most of the score, and know most of its variance.
        informative = min(len(set(patients[~right])) + FEWEST_CLUSTERS, len(names))
        score = bootstrap_interval(drawn[:, -2] / 2, errors.mean() / 2, informative)
        loss = _loss_interval(drawn[:, -1], losses.mean(), informative, len(names))
    return {
        "expected_calibration_error": metric(np.abs(gaps).sum(), error),
        "expected_by_chance": float(np.abs(noise).sum(1).mean()),
        "brier": metric(errors.mean(), (2 * score[0], 2 * score[1])),
        "log_loss": metric(losses.mean(), loss),
        "bins": [_bin(b, confidence[bin_of == b], right[bin_of == b]) for b in np.unique(bin_of)],
    }


def bins_of(confidence: np.ndarray) -> np.ndarray:
    """(n,) highest probabilities -> which of the BINS of equal width each is in."""
    return np.clip(np.searchsorted(np.linspace(0, 1, BINS + 1), confidence) - 1, 0, BINS - 1)


def _bin(b: int, confidence: np.ndarray, right: np.ndarray) -> dict[str, float | int]:
    return {
        "low": float(b / BINS),
        "high": float((b + 1) / BINS),
        "images": len(right),
        "confidence": float(confidence.mean()),
        "accuracy": float(right.mean()),
    }


def _no_less_than_chance(noise: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """`noise` (draws, bins), stretched to what as many images of these chances would show at least.

    Mistakes that luck has kept away take their variance along: where this makes a timid model look
    still more timid, the interval would lie above the truth in 8 of 100 samples.
    """
    seen, chance = noise.var(0).sum(), (confidence * (1 - confidence)).sum() / len(confidence) ** 2
    return noise * max(1.0, (chance / seen) ** 0.5) if seen > 0 else noise


def _error_interval(gaps: np.ndarray, noise: np.ndarray) -> tuple[float, float]:
    """Interval of the true calibration error, from `gaps` (bins,) and their `noise` (draws, bins).

    The true errors under which the one seen is in the middle of what noise makes of them: the
    bootstrap's test inversion (Carpenter 1999, J. R. Stat. Soc. B 61:159). The true gaps are taken
    to lie like those seen, only larger or smaller. Percentiles always leave the 0 of a calibrated
    model out.
    """
    seen, widest = np.abs(gaps).sum(), np.abs(noise).sum(1).max()
    likeness = gaps / seen if seen > 0 else np.full(len(gaps), 1 / len(gaps))

    def excess(error: float, level: float) -> float:
        """How far above the error seen is the `level` quantile of what `error` would show."""
        return np.quantile(np.abs(error * likeness + noise).sum(1), level) - seen

    largest = seen + widest + 1e-12
    low = 0.0 if excess(0.0, LOWER) >= 0 else brentq(excess, 0.0, largest, args=(LOWER,))
    high = 0.0 if excess(0.0, UPPER) >= 0 else brentq(excess, 0.0, largest, args=(UPPER,))
    return min(low, seen), min(1.0, max(high, seen))


def _without_mistakes(confidence: np.ndarray, patients: int) -> tuple[float, float]:
    """Interval of the calibration error where every image is named right.

    Mistakes may be as common as Wilson's interval of none among `patients` allows, and each moves
    the error by its share at most.
    """
    error, mistakes = 1 - confidence.mean(), _mistakes(patients)
    return max(0.0, error - mistakes), min(1.0, error + mistakes)


def _mistakes(patients: int) -> float:
    """How common mistakes may be of which there are none among so many patients."""
    return 1 - wilson_interval(1.0, patients)[0]


def _loss_interval(
    drawn: np.ndarray, value: float, informative: int, patients: int
) -> tuple[float, float]:
    """Student's interval of the logarithm of a log-loss, which leans to the side of large ones.

    drawn: (draws,) bootstrap values. informative: patients who know most of its variance.
    """
    if patients < FEWEST_CLUSTERS:
        return 0.0, -np.log(SMALLEST)
    factor = np.exp(Z * few_clusters(informative) * drawn.std() / value)
    return value / factor, value * factor

"""From a network's logits to the probabilities that are shown. No SciPy: it starts slowly."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np


def tempered(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n, K), float64, of `logits` (n, K): softmax(logits / temperature)."""
    scaled = np.asarray(logits, float) / temperature
    chances = np.exp(scaled - scaled.max(1, keepdims=True))
    return chances / chances.sum(1, keepdims=True)


def to_prevalence(
    probabilities: np.ndarray, prior: Sequence[float], prevalence: Sequence[float]
) -> np.ndarray:
    """Probabilities (n, K) for a population with another mixture of the classes.

    `prior` (K,) are the shares of the classes that `probabilities` (n, K) were learned on,
    `prevalence` (K,) those of the population, each adding up to 1. The images of a class are taken
    to look alike in both. Saerens, Latinne & Decaestecker (2002), Neural Comput. 14:21.

    Raises ValueError for a class that the population has and `prior` has not.
    """
    probabilities = np.asarray(probabilities, float)
    n_classes = probabilities.shape[1]
    prior = check_shares(prior, n_classes, "prior")
    prevalence = check_shares(prevalence, n_classes, "prevalence")
    unknown = np.flatnonzero((prior == 0) & (prevalence > 0))
    if len(unknown):
        raise ValueError(
            f"prior: class {unknown[0]} is 0, its prevalence {prevalence[unknown[0]]:g}; expected "
            "some of a class that the population has. Nothing was learned about it."
        )
    change = np.divide(prevalence, prior, out=np.zeros(n_classes), where=prior > 0)
    scaled = probabilities * change
    whole = scaled.sum(1, keepdims=True)
    # An image that is surely of a class the population has not: all that is left is the prevalence.
    return np.divide(scaled, whole, out=np.tile(prevalence, (len(scaled), 1)), where=whole > 0)


def mover(
    stated: Mapping[str, float], classes: Sequence[str], prior: Sequence[float] | None, where: str
) -> Callable[[np.ndarray], np.ndarray]:
    """What moves probabilities (n, K) from the mixture of the training to that of --prevalence.

    ValueError for shares that do not fit the classes, and without the prior of the training;
    where: of which file, for the message.
    """
    shares = shares_of(stated, classes)
    if not prior:
        raise ValueError(f"{where}: no prior in it to start from; leave --prevalence out")
    return lambda probabilities: to_prevalence(probabilities, prior, shares)


def check_shares(shares: Sequence[float], n_classes: int, name: str) -> np.ndarray:
    """The `shares` (K,) of classes in a population, scaled to add up to 1 exactly.

    Raises ValueError unless there are `n_classes` of them, none below 0, adding up to 0.99 to 1.01.
    """
    shares = np.asarray(shares, float)
    if shares.shape != (n_classes,) or not np.isfinite(shares).all() or (shares < 0).any():
        raise ValueError(
            f"{name}: {shares.tolist()}; expected {n_classes} shares of at least 0, one per class."
        )
    if not 0.99 <= shares.sum() <= 1.01:
        raise ValueError(f"{name}: adds up to {shares.sum():g}; expected 1.")
    return shares / shares.sum()


def shares_of(stated: Mapping[str, float], classes: Sequence[str]) -> np.ndarray:
    """The share of each of the `classes` (K,), of --prevalence; ValueError unless all have one."""
    if set(stated) != set(classes):
        raise ValueError(
            f"--prevalence: found {', '.join(stated)}; expected a share of each of"
            f" {', '.join(classes)}"
        )
    return check_shares([stated[name] for name in classes], len(classes), "--prevalence")

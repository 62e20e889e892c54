"""What an error on each class costs, and how common each class then seems to the network.

targets: a class index for each of N images. chances: of each image to be drawn in an epoch, N
numbers with sum 1; None where an epoch shows each image once.
"""

from collections.abc import Sequence

import numpy as np

OVERLAP = 0.999  # the beta of Cui et al.; theirs is 0.9 to 0.9999, more for larger sets


def class_frequencies(
    targets: Sequence[int], n_classes: int, chances: Sequence[float] | None = None
) -> np.ndarray:
    """The part of each class in an epoch, (n_classes,), sum 1."""
    counts = np.bincount(targets, chances, n_classes)
    return counts / counts.sum()


def class_weights(
    kind: str | Sequence[float] | None,
    targets: Sequence[int],
    n_classes: int,
    chances: Sequence[float] | None = None,
) -> np.ndarray:
    """What an error on each class costs, (n_classes,): 1 on average over the images of an epoch.

    kind `counts`: the inverse of the class's part of the epoch, so that all classes weigh the same.
    `effective`: the inverse of what its number of images is worth when later ones overlap with
    earlier ones (Cui et al., CVPR 2019), which lies between `counts` and no weights. None: 1 for
    each. Numbers are the weights, as they are.

    ValueError for a wrong number of numbers, or a class without an image.
    """
    if kind is None:
        return np.ones(n_classes)
    if not isinstance(kind, str):
        if len(kind) != n_classes:
            raise ValueError(f"loss_weights: found {len(kind)} numbers; expected {n_classes}")
        return np.array(kind)
    frequencies = class_frequencies(targets, n_classes, chances)
    if not frequencies.all():
        text = f"loss_weights: class {int(frequencies.argmin())} has no training image; give the"
        raise ValueError(f"{text} weights as numbers, or take the class out of the mapping")
    if kind == "counts":
        return 1 / (n_classes * frequencies)
    weights = 1 / (1 - OVERLAP ** (frequencies * len(targets)))
    return weights / (frequencies @ weights)


def class_prior(
    weights: np.ndarray, targets: Sequence[int], chances: Sequence[float] | None = None
) -> np.ndarray:
    """How common each class seems to a network whose errors cost `weights`; (n_classes,), sum 1."""
    prior = class_frequencies(targets, len(weights), chances) * weights
    return prior / prior.sum()

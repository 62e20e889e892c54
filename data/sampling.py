"""Which training images an epoch shows, in which order, and what an error on each class costs."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[int]):
    """Indices of one epoch, a function of (seed, epoch) alone; `set_epoch` names the epoch.

    mode `shuffle`: every image once. `balanced`: as many draws with replacement as there are
    images, each class equally likely, then each image of the class.
    """

    def __init__(self, targets: Sequence[int], mode: str = "shuffle", seed: int = 0):
        if mode not in {"shuffle", "balanced"}:
            raise ValueError(f"sampling: found '{mode}'; expected shuffle or balanced")
        self.targets = np.asarray(targets)
        self.mode = mode
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.targets)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        if self.mode == "shuffle":
            return iter(generator.permutation(len(self)).tolist())
        _, column, size = np.unique(self.targets, return_inverse=True, return_counts=True)
        chance = 1 / (len(size) * size[column])
        return iter(generator.choice(len(self), size=len(self), p=chance).tolist())


def class_weights(targets: Sequence[int], n_classes: int) -> list[float]:
    """Loss weights by inverse frequency, N / (K * n_k): 1 on average over the images.

    ValueError names a class without an image: its weight would be infinite.
    """
    size = np.bincount(np.asarray(targets), minlength=n_classes)
    if not size.all():
        raise ValueError(
            f"loss_weights: class {int(size.argmin())} has no training image; give the weights as"
            " numbers, or take the class out of the mapping"
        )
    return (len(targets) / (n_classes * size)).tolist()

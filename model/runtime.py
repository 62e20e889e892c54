"""What runs a network, and what it makes of images. No torch: ONNX Runtime does without."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from model.doubts import Limits, Measured


class Examined(NamedTuple):
    """What a network makes of N images, float32, in order: arrays, or tensors inside of torch.

    features are the penultimate layer's. heat is the Grad-CAM map of the class with the highest
    logit, not negative: how much of that logit each cell of the last convolution brings, so that
    only the ratios within a map mean something. A cell is 32 pixels of the input wide, and has seen
    more than these.
    """

    logits: np.ndarray  # (N, n_classes)
    features: np.ndarray  # (N, 512)
    heat: np.ndarray  # (N, h, w)


class Runtime(Protocol):
    """A network on a device. Its images are (n, 1 or 3, H, W) uint8 at its input size, tensors on
    the CPU or arrays."""

    device: str  # cpu, cuda:0, ...
    limits: Limits  # of its gate

    def examine(self, batches: Iterable) -> Examined:
        """What the network makes of batches of images, in order."""

    def examine_and_measure(self, pixels: np.ndarray) -> tuple[Examined, Measured]:
        """The same of one batch, and what the gate measures of it."""

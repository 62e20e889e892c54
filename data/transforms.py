"""Radiograph -> tensor, in the same way for training, evaluation and prediction."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from data.images.preparation import Preparation
from data.images.radiograph import read_radiograph, resize

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
PLAIN = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}  # about -2 .. 2, for a fresh trunk
FINER = 1.4  # of 1.25, 1.4 and 1.5, what keeps moved images most nearly as sharp as others


@dataclass(frozen=True)
class InputFormat:
    """How a network wants its input; a checkpoint carries it as a dict.

    size is (height, width). mean and std are those of the RGB channels in [0, 1]. prepared is how
    the dataset's images were made: a raw file is first prepared like them, so that it gives the
    same pixels as its copy in the dataset; None if they were not. Files are read in mode `L` or
    `RGB`.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    prepared: Preparation | None = None
    mode: str = "L"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "InputFormat":
        """From the dict in a checkpoint, or in the JSON of an ONNX file, which has lists."""
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        prepared = values.get("prepared")
        return cls(**{**values, "prepared": prepared and Preparation(**prepared)})

    def finer(self) -> "InputFormat":
        """The format for images that are moved before they are brought to `size`: up to FINER times
        as fine, but not finer than the dataset's images.

        An image that is sampled twice, first at `size` and then to move it, is blurred, unlike the
        images of a prediction: at 96 pixels the second differences of real images shrank to 0.78.
        From finer images they keep their size within 2 %.
        """
        there = self.prepared.size if self.prepared else 0
        factor = max(1, min(FINER, there / max(self.size)))
        return replace(self, size=tuple(round(factor * side) for side in self.size))

    def open(self, path: str | Path) -> Image.Image:
        """Any file, as read_radiograph reads it and with its errors, no larger than needed."""
        return read_radiograph(path, self.mode, self.prepared and self.prepared.enough)

    def read(self, path: str | Path) -> np.ndarray:
        """The pixels of any file, as in `fit`; errors as in read_radiograph."""
        return self.fit(self.open(path))

    def fit(self, image: Image.Image) -> np.ndarray:
        """(C, H, W) uint8 at the network's size; C is 1 for `L`, 3 for `RGB`."""
        if self.prepared:
            image = self.prepared(image)
        pixels = np.asarray(resize(image, *self.size))
        return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The part of a raw image that the network sees, as in Preparation.seen."""
        return self.prepared.seen(width, height) if self.prepared else (0, 0, width, height)

    def normalise(self, pixels: "Tensor") -> "Tensor":
        """(N, 1 or 3, H, W) uint8 -> (N, 3, H, W) float32 on the same device, channels last."""
        import torch  # late: prediction with an ONNX file does without it

        factor, shift = _line(tuple(self.mean), tuple(self.std), pixels.device)
        values = (pixels.float() * factor).add_(shift)
        return values.contiguous(memory_format=torch.channels_last)


@lru_cache
def _line(
    mean: tuple[float, ...], std: tuple[float, ...], device: "torch.device"
) -> "tuple[Tensor, Tensor]":
    """(3, 1, 1) each: pixels * factor + shift is (pixels / 255 - mean) / std.

    Cached, as a copy to a GPU in each step would wait for the device.
    """
    import torch

    lines = [[1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]]
    factor, shift = torch.tensor(lines, device=device).view(2, 3, 1, 1)
    return factor, shift

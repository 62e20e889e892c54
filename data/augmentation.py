"""Varied training images: mirrored, moved, turned, scaled, and of other exposure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

FIRST = 0.2  # of the strength is left in the first epoch of a warm-up


@dataclass(frozen=True)
class Augmentation:
    """How far a training image is varied. There is no vertical flip: no patient hangs upside down.

    flip: probability of a mirror image. rotation: degrees to either side. shift: part of the width
    and height. scale: smallest and largest factor. jitter: of brightness and contrast, 0.3 is 70 to
    130 %, as in torchvision's ColorJitter. warmup: epochs over which all but the flip grow from
    FIRST of that to the whole; 0 has the whole from the start. Random weights learn faster from
    images that are varied little, but overfit them later (strength grows in EfficientNetV2, too:
    Tan & Le, arXiv:2104.00298). size: (height, width) of what comes out; None: as it went in. From
    finer images (see `InputFormat.finer`) it is as sharp as an image that is not moved.
    """

    flip: float
    rotation: float
    shift: float
    scale: tuple[float, float]
    jitter: float
    warmup: float = 0.0
    size: tuple[int, int] | None = None

    def __post_init__(self):
        cv2.setNumThreads(0)  # its threads would not live on in a loader's process, which waits

    def __call__(self, pixels: np.ndarray, key: Sequence[int]) -> np.ndarray:
        """(h, w) uint8 -> (H, W) uint8; what is drawn depends on the numbers in `key` alone: seed,
        epoch, and what tells the epoch's images apart.

        The distribution is that of torchvision's RandomHorizontalFlip, RandomAffine (bilinear,
        black outside) and ColorJitter one after the other. On one channel, and with one
        interpolation and one table for all of them, it takes a twentieth of the time.
        """
        vary, draw = self.in_epoch(key[1]), np.random.default_rng(key)
        pixels = vary._move(pixels, draw)
        return vary._expose(pixels, draw) if vary.jitter else pixels

    def in_epoch(self, epoch: int) -> "Augmentation":
        """As strong as it is in an epoch, the first being 0."""
        if epoch >= self.warmup:
            return self
        strength = FIRST + (1 - FIRST) * epoch / self.warmup
        low, high = (1 + strength * (factor - 1) for factor in self.scale)
        rotation, shift, jitter = (strength * of for of in (self.rotation, self.shift, self.jitter))
        return replace(
            self, rotation=rotation, shift=shift, scale=(low, high), jitter=jitter, warmup=0.0
        )

    @property
    def moves(self) -> bool:
        """Whether an image is turned, shifted or scaled, so that its pixels are sampled anew."""
        return bool(self.rotation or self.shift) or tuple(self.scale) != (1, 1)

    def _move(self, pixels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        height, width = pixels.shape
        mirrored = draw.random() < self.flip
        angle = np.deg2rad(draw.uniform(-self.rotation, self.rotation))
        reach = self.shift * np.array([width, height])
        shift = draw.uniform(-reach, reach).round()
        scale = draw.uniform(*self.scale)
        size = np.array(self.size or pixels.shape)
        if not angle and scale == 1 and not shift.any() and (size == pixels.shape).all():
            return pixels[:, ::-1] if mirrored else pixels
        along, across = scale * np.cos(angle), scale * np.sin(angle)
        turn = np.array([[along, -across], [across, along]])
        if mirrored:  # before it is turned
            turn[:, 0] *= -1
        middle = (np.array([width, height]) - 1) / 2
        matrix = np.column_stack([turn, middle + shift - turn @ middle])
        factor = size[::-1] / (width, height)  # then brought to the size, at once
        matrix *= factor[:, None]
        matrix[:, 2] += (factor - 1) / 2  # the middle of the first pixel is at 0
        return cv2.warpAffine(pixels, matrix, size[::-1].tolist())

    def _expose(self, pixels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """Brightness, then contrast around the mean, or the other way about."""
        low = max(0.0, 1 - self.jitter)
        brightness, contrast = draw.uniform(low, 1 + self.jitter, 2)
        grays = np.arange(256.0)
        pixels = np.ascontiguousarray(pixels)
        for brighten in draw.permutation([True, False]):
            if brighten:
                grays = grays * brightness
            else:
                mean = cv2.mean(cv2.LUT(pixels, grays.round().astype(np.uint8)))[0]
                grays = grays * contrast + (1 - contrast) * mean
            grays = grays.clip(0, 255)
        return cv2.LUT(pixels, grays.round().astype(np.uint8))

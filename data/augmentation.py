"""Varied training images: mirrored, moved, turned, scaled, and of other exposure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from data.appearance import vary_appearance
from data.transforms import FINER

FIRST = 0.2  # of the strength is left in the first epoch of a warm-up
SMALLEST, STEP = 32, 16  # pixels: of a side while images grow, and how it grows


@dataclass(frozen=True)
class Augmentation:
    """How far a training image is varied. There is no vertical flip: no patient hangs upside down.

    flip: probability of a mirror image. rotation: degrees to either side. shift: part of the width
    and height. scale: smallest and largest factor. jitter: of brightness and contrast, 0.3 is 70 to
    130 %, as in torchvision's ColorJitter. appearance: 0 to 1, see `data.appearance`. warmup:
    epochs over which all but the flip grow from FIRST of that to the whole; 0 has the whole from
    the start. Random weights learn faster from images that are varied little, but overfit them
    later. size: (height, width) of what comes out; None: as it went in. From finer images (see
    `InputFormat.finer`) it is as sharp as an image that is not moved. size_warmup: epochs over
    which it grows from half of both to the whole: small images teach the coarse things sooner (both
    as in EfficientNetV2: Tan & Le, arXiv:2104.00298).
    """

    flip: float
    rotation: float
    shift: float
    scale: tuple[float, float]
    jitter: float
    appearance: float = 0.0
    warmup: float = 0.0
    size: tuple[int, int] | None = None
    size_warmup: float = 0.0

    def __post_init__(self):
        cv2.setNumThreads(0)  # its threads would not live on in a loader's process, which waits

    def __call__(self, pixels: np.ndarray, key: Sequence[int]) -> np.ndarray:
        """(h, w) uint8 -> (H, W) uint8; what is drawn depends only on the numbers in `key`: seed,
        epoch, and what tells the epoch's images apart.

        The distribution is that of torchvision's RandomHorizontalFlip, RandomAffine (bilinear,
        black outside) and ColorJitter, in a twentieth of the time.
        """
        vary, draw = self.in_epoch(key[1]), np.random.default_rng(key)
        pixels = vary._move(pixels, draw)
        pixels = vary._expose(pixels, draw) if vary.jitter else pixels
        return vary_appearance(pixels, vary.appearance, draw) if vary.appearance else pixels

    def in_epoch(self, epoch: int) -> "Augmentation":
        """As strong and as large as it is in an epoch, the first being 0."""
        if epoch >= max(self.warmup, self.size_warmup):
            return self
        strength = 1.0
        if epoch < self.warmup:
            strength = FIRST + (1 - FIRST) * epoch / self.warmup
        growing = ("rotation", "shift", "jitter", "appearance")
        part = {name: strength * getattr(self, name) for name in growing}
        low, high = (1 + strength * (factor - 1) for factor in self.scale)
        size = self._size_in(epoch)
        return replace(self, scale=(low, high), warmup=0.0, size=size, size_warmup=0.0, **part)

    def _size_in(self, epoch: int) -> tuple[int, int] | None:
        if self.size is None or epoch >= self.size_warmup:
            return self.size
        part = 0.5 + 0.5 * epoch / self.size_warmup
        height, width = (
            min(side, max(SMALLEST, STEP * round(part * side / STEP))) for side in self.size
        )
        return height, width

    @property
    def moves(self) -> bool:
        """Whether an image is turned, shifted or scaled."""
        return bool(self.rotation or self.shift) or tuple(self.scale) != (1, 1)

    def _move(self, pixels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        if self.size and pixels.shape[0] > 2 * self.size[0]:  # sampled, it would be jagged
            fine = tuple(round(FINER * side) for side in self.size[::-1])
            pixels = cv2.resize(pixels, fine, interpolation=cv2.INTER_AREA)
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

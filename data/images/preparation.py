"""How any radiograph becomes a small square one: for the dataset folder, and for a network."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from data.images.radiograph import resize


@dataclass(frozen=True)
class Preparation:
    """An 8-bit image of any size -> size x size. Preparing it again changes nothing, so a raw file
    and its copy in a dataset give the same image. dataset.json and checkpoints hold the settings.

    fit: `squash` brings both sides to the size, as COVID-Next of 2020 did; `pad` keeps the
    proportions and fills up with black; `crop` keeps them and cuts off the ends of the longer side.
    equalize: histogram equalisation, see `equalize`.
    """

    size: int
    fit: str = "squash"
    equalize: bool = False

    @property
    def enough(self) -> int:
        """Pixels that each side of the raw image needs; a larger JPEG may be decoded smaller."""
        return 2 * self.size

    def __call__(self, image: Image.Image) -> Image.Image:
        if self.fit == "crop":
            image = image.crop(self.seen(*image.size))
        if self.fit == "pad":
            image = _pad(image, self.size)
        image = resize(image, self.size, self.size)
        return equalize(image) if self.equalize else image

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what becomes the small image, in pixels of the large one;
        `crop` leaves out its ends, `pad` goes beyond its edges."""
        if self.fit == "squash":
            return 0, 0, width, height
        side = (min if self.fit == "crop" else max)(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return left, top, left + side, top + side


def equalize(image: Image.Image) -> Image.Image:
    """Spreads the grays of an 8-bit image evenly over 1 .. 255; black stays black.

    A gray becomes the share of the pixels that are darker. Black is not counted: it is mostly
    collimation and padding, and says nothing about exposure.
    """
    if image.mode != "L":
        return Image.merge(image.mode, [equalize(channel) for channel in image.split()])
    counts = np.array(image.histogram(), dtype=np.int64)
    counts[0] = 0
    darker = np.cumsum(counts) - counts
    table = 1 + 254 * darker // max(1, counts.sum())
    table[0] = 0
    return image.point(table.tolist())


def _pad(image: Image.Image, size: int) -> Image.Image:
    shrink = size / max(image.size)
    width, height = (max(1, round(side * shrink)) for side in image.size)
    square = Image.new(image.mode, (size, size))
    square.paste(resize(image, height, width), ((size - width) // 2, (size - height) // 2))
    return square

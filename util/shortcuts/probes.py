"""Images with a part of what they show taken away, to see what a network needs for its answer.

None of these images is like one that it was trained on. A score that survives proves that what is
left suffices; one that falls may have fallen only because it looks strange. Zech et al. (2018),
PLoS Med. 15:e1002683, and DeGrave et al. (2021), Nat. Mach. Intell. 3:610, show why to ask.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor


class Box(NamedTuple):
    """A part of an image: its edges as fractions of the height and the width, from the top left."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def outside(self) -> float:
        """The part of the image's area that is not in it."""
        return 1 - (self.bottom - self.top) * (self.right - self.left)

    def slices(self, height: int, width: int) -> tuple[slice, slice]:
        """Its rows and columns in an image of so many pixels."""
        return (
            slice(round(self.top * height), round(self.bottom * height)),
            slice(round(self.left * width), round(self.right * width)),
        )


# One coarse box for all frontal radiographs, squashed to the network's input: the lungs, with room
# around them, as patients lie differently. Outside, 31 % of the area, are most markers, frames,
# text and edges of the film, in which sources differ; a marker on the shoulder may reach into it.
LUNGS = Box(top=0.08, bottom=0.90, left=0.08, right=0.92)
# Pixels on the longer side after the blur. Ribs, vessels and text are gone; how bright the lungs
# are, and how the patient is framed, is still there.
BLUR_SIDE = 16


class Probe(NamedTuple):
    """How the images (N, C, H, W) uint8 are changed, and one sentence how to read the score."""

    change: Callable[[Tensor], Tensor]
    how: str


def without_centre(pixels: Tensor) -> Tensor:
    """(N, C, H, W) uint8 with the lung box black."""
    rows, columns = LUNGS.slices(*pixels.shape[2:])
    changed = pixels.clone()
    changed[:, :, rows, columns] = 0
    return changed


def without_border(pixels: Tensor) -> Tensor:
    """(N, C, H, W) uint8 with all black but the lung box."""
    rows, columns = LUNGS.slices(*pixels.shape[2:])
    changed = pixels.new_zeros(pixels.shape)
    changed[:, :, rows, columns] = pixels[:, :, rows, columns]
    return changed


def blurred(pixels: Tensor) -> Tensor:
    """(N, C, H, W) uint8 shrunk to BLUR_SIDE pixels on the longer side, and enlarged again.

    Averaged over areas, then bilinear. Images that are not larger stay as they are.
    """
    height, width = pixels.shape[2:]
    if max(height, width) <= BLUR_SIDE:
        return pixels.clone()
    shrink = BLUR_SIDE / max(height, width)
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    small = F.interpolate(pixels.float(), size, mode="area")
    large = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    return large.round().to(pixels.dtype)


WITHOUT_CENTRE, WITHOUT_BORDER = "centre blacked out", "border blacked out"
BLURRED = f"blurred to {BLUR_SIDE} pixels"
PROBES = {
    WITHOUT_CENTRE: Probe(
        without_centre,
        "the lungs are black: what a model still scores above guessing, it reads off the border",
    ),
    WITHOUT_BORDER: Probe(
        without_border,
        "only the lungs are left: an honest model keeps most of its score, though the black frame"
        " itself may cost some",
    ),
    BLURRED: Probe(
        blurred,
        "no fine structure is left: what survives comes from brightness and layout, which differ"
        " between sources as well as between lungs",
    ),
}


def outside_box(heat: np.ndarray) -> np.ndarray:
    """The part of each map's heat that lies outside the lung box: (N, h, w) -> (N,), 0 to 1.

    heat must not be negative; a map without any gives NaN. A cell that the box's edge cuts counts
    by its areas on both sides, its heat being even. At a small input a cell is a large part of the
    image (a third of a side at 96 pixels), most cells are cut, and the result stays near
    LUNGS.outside, that of an even map, wherever the model looks.
    """
    heat = np.asarray(heat, float)
    down = _overlap(heat.shape[1], LUNGS.top, LUNGS.bottom)
    across = _overlap(heat.shape[2], LUNGS.left, LUNGS.right)
    total = heat.sum((1, 2))
    inside = np.einsum("nhw,h,w->n", heat, down, across)
    return 1 - np.divide(inside, total, out=np.full(len(heat), np.nan), where=total > 0)


def _overlap(cells: int, start: float, end: float) -> np.ndarray:
    """The part of each of the cells of an even row from 0 to 1 that lies between start and end."""
    edges = np.linspace(0, 1, cells + 1).clip(start, end)
    return np.diff(edges) * cells

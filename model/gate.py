"""The input gate: is an image a frontal chest radiograph, like those the network was trained on?

A network names a class for a cat, too. The gate knows where frontal chest radiographs have their
edges, and which features the network gives them, and doubts what lies far from either.

Its numbers were chosen on the training and validation split of covid-chestxray-dataset and RSNA
(1,064 images of 96 px), and on half of the patients with lateral views and CT slices;
benchmarks/RESULTS.md has what it passes and doubts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from data.images.is_radiograph import why_no_radiograph
from model.mahalanobis import Mahalanobis

Array = np.ndarray | Tensor
SIDE = 32  # pixels; the least input of the network, and a marker has no letters left
GRID = 5  # cells a side; with 4 more of the CT slices pass, with 8 more of the plain ramps
FAINT = 0.02  # added to a mean slope before its logarithm: a weaker one is none
# The part of new frontal radiographs of the same sources that each distance may doubt.
EDGE_ALARMS = 0.02
FEATURE_ALARMS = 0.01  # less, as a network that tells three classes apart sees other things less
# What is undone -> what was wrong then. Tried where the edges are doubted.
UNDONE = {
    "its polarity seems inverted": lambda pixels: 255 - pixels,
    "it seems turned to the right": lambda pixels: np.rot90(pixels, 1, (-2, -1)),
    "it seems turned to the left": lambda pixels: np.rot90(pixels, 3, (-2, -1)),
    "it seems upside down": lambda pixels: np.rot90(pixels, 2, (-2, -1)),
}
PLAIN = 0.85  # of the limit: 9 in 10 radiographs are nearer, and 1 in 20 of plain ramps, turned
BATCH = 256  # images shrunk at once; at 256 px in colour 200 MB


@dataclass(frozen=True)
class Gate:
    """What is known of the training images.

    A part that is None doubts nothing. `Gate()`, of a checkpoint that has none, still doubts blank
    images and colour photographs, see `why_no_radiograph`.
    """

    edges: Mahalanobis | None = None
    features: Mahalanobis | None = None

    @property
    def learned(self) -> bool:
        """Whether it knows anything of the training images."""
        return self.edges is not None or self.features is not None

    @classmethod
    def fit(cls, pixels: Array, features: Array | None = None) -> "Gate":
        """From the training split, in the order of its table and without augmentation.

        pixels: (N, 1 or 3, H, W) uint8 at the network's input size. features: (N, D) float, what
        the network's head sees of them. Of 100 new frontal radiographs of the same sources about 3
        are doubted; from fewer than 49 images nothing is learned (99 for the features).
        ValueError for pixels of another shape, and for features that are not finite.
        """
        if features is None:
            return cls(Mahalanobis.fit(edges(pixels), EDGE_ALARMS))
        features = torch.as_tensor(features)
        odd = int((~features.isfinite()).sum())
        if features.ndim != 2 or len(features) != len(pixels) or odd:
            raise ValueError(
                f"features: found {tuple(features.shape)} with {odd} values that are not finite;"
                f" expected ({len(pixels)}, D), one finite row for each image"
            )
        return cls(
            Mahalanobis.fit(edges(pixels), EDGE_ALARMS), Mahalanobis.fit(features, FEATURE_ALARMS)
        )

    def doubts(self, pixels: Array, features: Array | None = None) -> list[str | None]:
        """For each image why it may be no frontal chest radiograph, in a few words, or None.

        pixels, features: as in `fit`; without features only the edges are asked.
        """
        reasons = [why_no_radiograph(image) for image in _small_images(pixels)]
        if self.edges:
            for k, far in enumerate(self.edges.why_outside(edges(pixels))):
                if far and not reasons[k]:
                    reasons[k] = self._undone(np.asarray(pixels[k])) or (
                        f"its outlines are unlike those of the training images ({far})"
                    )
        if self.features and features is not None:
            for k, far in enumerate(self.features.why_outside(torch.as_tensor(features))):
                if far and not reasons[k]:
                    reasons[k] = f"its features are unlike those of the training images ({far})"
        return reasons

    def _undone(self, pixels: np.ndarray) -> str | None:
        """What was done to a radiograph (C, H, W), if undoing it leaves nothing to doubt."""
        distances = [
            self.edges.distance(edges(undo(pixels)[None])).item() for undo in UNDONE.values()
        ]
        best = min(distances)
        return list(UNDONE)[distances.index(best)] if best <= PLAIN * self.edges.limit else None

    def state(self) -> dict[str, Any]:
        """Plain values and tensors, for the checkpoint: 0.25 MB at 512 features."""
        return asdict(self)

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> "Gate":
        """From what `state` gave; None is a checkpoint without a gate. ValueError for another."""
        try:
            return cls(
                **{name: part and Mahalanobis(**part) for name, part in (state or {}).items()}
            )
        except (TypeError, AttributeError):
            raise ValueError(
                f"gate: found {state!r:.60}; expected what train.py wrote into the checkpoint"
            ) from None


def edges(pixels: Array) -> Tensor:
    """(N, 1 or 3, H, W) uint8 -> (N, 100) float32: where the image has edges, and to which side.

    At 32 x 32 and standardised, so that exposure counts for nothing, the slopes to the right, left,
    bottom and top are averaged in 5 x 5 cells, and their logarithms taken. That is a coarse
    histogram of oriented gradients (Dalal & Triggs, CVPR 2005). At equal alarms the gray levels
    themselves (24 x 24) find at most half of the lateral views, the edges nearly all.
    """
    return torch.cat([torch.empty(0, 4 * GRID**2), *map(_edges, _small(pixels))])


def _edges(small: Tensor) -> Tensor:
    gray = small.mean(1, keepdim=True)
    gray = gray - gray.mean((2, 3), keepdim=True)
    gray = gray / (gray.std((2, 3), keepdim=True) + 1)  # a blank one stays 0
    gray = F.pad(gray, (1, 1, 1, 1), mode="replicate")
    right = (gray[..., 1:-1, 2:] - gray[..., 1:-1, :-2]) / 2
    down = (gray[..., 2:, 1:-1] - gray[..., :-2, 1:-1]) / 2
    slopes = torch.cat([right, -right, down, -down], dim=1).relu()
    return (F.adaptive_avg_pool2d(slopes, GRID) + FAINT).log().flatten(1)


def _small(pixels: Array) -> Iterator[Tensor]:
    """Batches (n, C, 32, 32) of float in 0 .. 255, each pixel the mean of its area."""
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or not str(pixels.dtype).endswith("uint8"):
        raise ValueError(
            f"pixels: found {tuple(pixels.shape)} {pixels.dtype}; expected (N, 1 or 3, H, W) uint8"
        )
    pixels = np.asarray(pixels)
    for start in range(0, len(pixels), BATCH):
        # Copied, as decoded images may be mapped read-only, which torch has no tensors for.
        batch = torch.from_numpy(np.array(pixels[start : start + BATCH]))
        yield F.interpolate(batch.float(), size=(SIDE, SIDE), mode="area")


def _small_images(pixels: Array) -> Iterator[Image.Image]:
    """The images at 32 x 32, in which also the noise of a detector is gone."""
    for batch in _small(pixels):
        for image in batch.byte().permute(0, 2, 3, 1).numpy():
            yield Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)

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
from torch import Tensor

from model.doubts import DONE, Limits, Measured
from model.mahalanobis import Mahalanobis

Array = np.ndarray | Tensor
SIDE = 32  # pixels; the least input of the network, and a marker has no letters left
GRID = 5  # cells a side; with 4 more of the CT slices pass, with 8 more of the plain ramps
FAINT = 0.02  # added to a mean slope before its logarithm: a weaker one is none
# The part of new frontal radiographs of the same sources that each distance may doubt.
EDGE_ALARMS = 0.02
FEATURE_ALARMS = 0.01  # less, as a network that tells three classes apart sees other things less
BATCH = 256  # images shrunk at once; at 256 px in colour 200 MB


@dataclass(frozen=True)
class Gate:
    """What is known of the training images.

    A part that is None doubts nothing. `Gate()`, of a checkpoint that has none, still doubts blank
    images and colour photographs, see `why_no_radiograph`.
    """

    edges: Mahalanobis | None = None
    features: Mahalanobis | None = None

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

    @property
    def limits(self) -> Limits:
        return Limits(self.edges, self.features)

    def measure(self, pixels: Tensor, features: Tensor | None = None) -> Measured:
        """What `Limits.doubts` takes, as tensors; pixels and features: tensors as in `fit`."""
        small = _shrink(pixels)
        edges = None
        if self.edges:
            each = torch.cat([small, *_undone(small)])
            edges = self.edges.distance(_edges(each)).unflatten(0, (1 + len(DONE), -1)).T
        asked = self.features and features is not None
        return Measured(small.byte(), edges, self.features.distance(features) if asked else None)

    def doubts(self, pixels: Array, features: Array | None = None) -> list[str | None]:
        """`Limits.doubts` of images; pixels, features: as in `fit`; without features only the edges
        are asked."""
        reasons = []
        for batch in _batches(pixels):
            seen = None
            if features is not None:
                seen = torch.as_tensor(features[len(reasons) : len(reasons) + len(batch)])
            reasons += self.limits.doubts(arrays(self.measure(batch, seen)))
        return reasons

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


def arrays(measured: Measured) -> Measured:
    """Of tensors."""
    return Measured(*(part if part is None else part.cpu().numpy() for part in measured))


def edges(pixels: Array) -> Tensor:
    """(N, 1 or 3, H, W) uint8 -> (N, 100) float32: where the image has edges, and to which side.

    At 32 x 32 and standardised, so that exposure counts for nothing, the slopes to the right, left,
    bottom and top are averaged in 5 x 5 cells, and their logarithms taken. That is a coarse
    histogram of oriented gradients (Dalal & Triggs, CVPR 2005). At equal alarms the gray levels
    themselves (24 x 24) find at most half of the lateral views, the edges nearly all.
    """
    found = [_edges(_shrink(batch)) for batch in _batches(pixels)]
    return torch.cat([torch.empty(0, 4 * GRID**2), *found])


def _edges(small: Tensor) -> Tensor:
    gray = small.mean(1, keepdim=True)
    gray = gray - gray.mean((2, 3), keepdim=True)
    gray = gray / (gray.std((2, 3), keepdim=True) + 1)  # a blank one stays 0
    gray = F.pad(gray, (1, 1, 1, 1), mode="replicate")
    right = (gray[..., 1:-1, 2:] - gray[..., 1:-1, :-2]) / 2
    down = (gray[..., 2:, 1:-1] - gray[..., :-2, 1:-1]) / 2
    slopes = torch.cat([right, -right, down, -down], dim=1).relu()
    return (F.adaptive_avg_pool2d(slopes, GRID) + FAINT).log().flatten(1)


def _undone(small: Tensor) -> Iterator[Tensor]:
    """The images with each of `model.doubts.DONE` undone."""
    yield 255 - small
    for quarters in (1, 3, 2):
        yield small.rot90(quarters, (2, 3))


def _shrink(pixels: Tensor) -> Tensor:
    """(N, C, 32, 32) of float in 0 .. 255, each pixel the mean of its area, in which also the noise
    of a detector is gone."""
    return F.interpolate(pixels.float(), size=(SIDE, SIDE), mode="area")


def _batches(pixels: Array) -> Iterator[Tensor]:
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or not str(pixels.dtype).endswith("uint8"):
        raise ValueError(
            f"pixels: found {tuple(pixels.shape)} {pixels.dtype}; expected (N, 1 or 3, H, W) uint8"
        )
    pixels = np.asarray(pixels)
    for start in range(0, len(pixels), BATCH):
        # Copied, as decoded images may be mapped read-only, which torch has no tensors for.
        yield torch.from_numpy(np.array(pixels[start : start + BATCH]))

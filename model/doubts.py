"""What the gate measured of an image -> why it may be no frontal chest radiograph, in words.

`model.gate` says what is measured; a network that was exported measures it itself.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from data.images.is_radiograph import why_no_radiograph

# What was done to a radiograph, if undoing it leaves nothing to doubt.
DONE = (
    "its polarity seems inverted",
    "it seems turned to the right",
    "it seems turned to the left",
    "it seems upside down",
)
PLAIN = 0.85  # of the limit: 9 in 10 radiographs are nearer, and 1 in 20 of plain ramps, turned


class Measured(NamedTuple):
    """What the gate measures of N images; a distance is None where nothing was learned of it."""

    small: np.ndarray  # (N, C, 32, 32) uint8: the images, shrunk
    edges: np.ndarray | None = None  # (N, 5): distance as it is, and with each of DONE undone
    features: np.ndarray | None = None  # (N,) distance


class Known(Protocol):
    """The distance beyond which an image is unlike those of training, and the share of usual ones
    that lie within it."""

    limit: float
    share: float


class Limit(NamedTuple):
    """The `Known` of an exported network, whose graph has the rest."""

    limit: float
    share: float


class Limits(NamedTuple):
    """What is known of the training images. A part that is None doubts nothing."""

    edges: Known | None = None
    features: Known | None = None

    @property
    def learned(self) -> bool:
        """Whether anything is known of the training images."""
        return self.edges is not None or self.features is not None

    def doubts(self, measured: Measured) -> list[str | None]:
        """For each image why it may be no frontal chest radiograph, in a few words, or None.

        Without limits blank images and colour photographs still are doubted.
        """
        reasons = [why_no_radiograph(_picture(image)) for image in measured.small]
        if self.edges and measured.edges is not None:
            for k, far in enumerate(why_outside(measured.edges[:, 0], self.edges)):
                if far and not reasons[k]:
                    reasons[k] = _done(measured.edges[k, 1:], self.edges.limit) or (
                        f"its outlines are unlike those of the training images ({far})"
                    )
        if self.features and measured.features is not None:
            for k, far in enumerate(why_outside(measured.features, self.features)):
                if far and not reasons[k]:
                    reasons[k] = f"its features are unlike those of the training images ({far})"
        return reasons


def why_outside(distances: Sequence[float], known: Known) -> list[str | None]:
    """Each of (N,) distances in words where it is beyond the limit, else None."""
    usual = f"{known.share:.0%} of them are below {known.limit:.2f}"
    return [
        # asked in this way, NaN lies outside
        None if distance <= known.limit else f"distance {distance:.2f}, {usual}"
        for distance in distances
    ]


def _done(undone: np.ndarray, limit: float) -> str | None:
    """undone: (4,) the distances with each of DONE undone."""
    best = int(undone.argmin())
    return DONE[best] if undone[best] <= PLAIN * limit else None


def _picture(image: np.ndarray) -> Image.Image:
    """(C, H, W) -> `L` or `RGB`."""
    return Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, 2))

"""A picture in two dozen numbers that know no anatomy: exposure, sharpness, border, compression.

Each is a trace of how a film was taken, stored and copied, which differs from source to source.
What a linear model makes of them (data.audit.cheats) a network can learn, too.
"""

import cv2
import numpy as np

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
STATISTICS = (
    "brightness", "contrast", *(f"percentile_{p}" for p in PERCENTILES),
    "black", "white", "gray_levels",
    "fine_detail", "medium_detail", "coarse_detail", "noise",
    "flat", "blocks", "proportions",
    "frame", "corners", "marks", "filled_width", "filled_height",
)  # fmt: skip
BLACK, WHITE = 3, 252  # up to and from which a gray counts as such: JPEG moves it a little
BLOCK = 8  # pixels, the side of a JPEG's blocks
TINY = 0.1  # gray levels; an even picture has logarithms, too


def picture_statistics(image: np.ndarray) -> tuple[float, ...]:
    """A finite number for each of STATISTICS; at 256 pixels that takes half a millisecond.

    image: a prepared film, (H, W) uint8, of 16 pixels or more.
    """
    return tuple(float(number) for number in (*_tones(image), *_detail(image), *_border(image)))


def _tones(image: np.ndarray) -> list[float]:
    """Mean and deviation of the grays, percentiles, shares of black and white, how many occur."""
    shares, levels = _histogram(image), np.arange(256)
    mean = shares @ levels
    deviation = np.sqrt(shares @ (levels - mean) ** 2)
    percentiles = np.searchsorted(np.cumsum(shares), np.divide(PERCENTILES, 100))
    black, white = shares[: BLACK + 1].sum(), shares[WHITE:].sum()
    return [mean, deviation, *percentiles, black, white, np.count_nonzero(shares)]


def _detail(image: np.ndarray) -> list[float]:
    """Detail of 1, 2 and 4 pixels; noise; pixels like their neighbour; blocks; proportions.

    Detail is the mean difference of a pixel from the 3 x 3 around it, noise the median, which edges
    do not move; both as logarithms. Blocks are steps at each 8th pixel over those elsewhere. A film
    that was squashed has steeper steps one way than the other.
    """
    details, smaller = [], image
    for _ in range(3):
        details.append(cv2.absdiff(smaller, cv2.blur(smaller, (3, 3))))
        smaller = cv2.resize(smaller, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    noise = np.searchsorted(np.cumsum(_histogram(details[0])), 0.5)
    across, down = cv2.absdiff(image[:, 1:], image[:, :-1]), cv2.absdiff(image[1:], image[:-1])
    (wide, wide_at), (high, high_at) = (
        (steps.mean() + TINY, steps[BLOCK - 1 :: BLOCK].mean() + TINY)
        for steps in (_means(across, 0), _means(down, 1))
    )
    return [
        *(np.log(cv2.mean(detail)[0] + TINY) for detail in details),
        np.log(noise + TINY),
        1 - cv2.countNonZero(across) / across.size,
        np.log(wide_at / wide) + np.log(high_at / high),
        np.log(wide / high),
    ]


def _border(image: np.ndarray) -> list[float]:
    """Brightness of the frame and the corners, the corners' contrast; how much is not black rim."""
    side = min(image.shape)
    thin, corner = side // 16, side // 8
    frame = image[:thin], image[-thin:], image[:, :thin], image[:, -thin:]
    ends = slice(corner), slice(-corner, None)
    corners = np.stack([image[rows, columns] for rows in ends for columns in ends])
    filled = [np.flatnonzero(_means(image, axis) > BLACK) for axis in (0, 1)]
    return [
        np.mean([cv2.mean(part)[0] for part in frame]),
        corners.mean(),
        corners.std(axis=(1, 2)).mean(),
        *((np.ptp(places) + 1) / side if len(places) else 0 for places in filled),
    ]


def _histogram(image: np.ndarray) -> np.ndarray:
    """The share of each gray, (256,)."""
    return cv2.calcHist([image], [0], None, [256], [0, 256]).ravel().astype(float) / image.size


def _means(image: np.ndarray, axis: int) -> np.ndarray:
    """Over the axis, as float32; ten times as fast as NumPy for uint8."""
    return cv2.reduce(image, axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()

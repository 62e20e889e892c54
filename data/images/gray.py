"""What the readers of pictures and of DICOM files share: the gray scale, the limits, the error."""

from collections.abc import Callable

import numpy as np

# Larger than any detector (a 43 x 43 cm plate at 100 micrometres has 18 million pixels).
MAX_PIXELS = 100_000_000
MAX_BYTES = 4 * MAX_PIXELS  # of a file, and of a DICOM file once it is inflated


class UnreadableImageError(ValueError):
    """A file without a radiograph: missing, broken, not an image, or of an unsupported kind."""


def to_8bit(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scales gray values (H, W) from low .. high to 0 .. 255 uint8, clipping.

    If low is above high, dark and bright change places.
    """
    scaled = (values.astype(np.float32) - low) * (255.0 / ((high - low) or 1))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def usual_range(values: np.ndarray) -> tuple[float, float]:
    """The 0.1 and 99.9 percentiles: black and white of an image that says nothing of its range.

    So one burnt-in marker or one dead pixel does not set the scale. If the two are the same, the
    darkest and the brightest value.
    """
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
        if not values.size:
            return 0.0, 0.0
    low, high = np.percentile(values, [0.1, 99.9], method="inverted_cdf")
    return (low, high) if low < high else (values.min(), values.max())


def by_table(values: np.ndarray, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """convert(values); of 8 and 16 bits each possible value is converted once, and looked up.

    That is fast, and needs little memory. convert must treat each pixel by itself.
    """
    if values.dtype.kind not in "iu" or values.itemsize > 2:
        return convert(values)
    unsigned = values.view(f"u{values.itemsize}")
    every = np.arange(256**values.itemsize, dtype=unsigned.dtype).view(values.dtype)
    table = convert(every)
    return unsigned if np.array_equal(table, every) else np.take(table, unsigned)


def check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise UnreadableImageError(
            f"{width} x {height} pixels; expected at most {MAX_PIXELS:,}, as no detector gives more"
        )

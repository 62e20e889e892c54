"""What reading a picture and reading a DICOM file share: the gray scale, the limits, the error."""

import numpy as np

# Larger than any detector (a 43 x 43 cm plate at 100 micrometres has 18 million pixels).
MAX_PIXELS = 100_000_000


class UnreadableImageError(ValueError):
    """A file that gives no radiograph: missing, broken, no image, or of a kind not supported."""


def to_8bit(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Scales gray values (H, W) from low .. high to 0 .. 255 uint8, clipping.

    low may be the higher: then dark and bright change places. Without bounds they are the 0.1 and
    99.9 percentiles, so that one burnt-in marker or one dead pixel does not set the scale.
    """
    values = values.astype(np.float32)
    if low is None or high is None:
        low, high = np.percentile(values, [0.1, 99.9])
        if high <= low:
            low, high = values.min(), values.max()
    scaled = (values - low) * (255.0 / ((high - low) or 1))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise UnreadableImageError(
            f"{width} x {height} pixels; expected at most {MAX_PIXELS:,}, as no detector gives more"
        )

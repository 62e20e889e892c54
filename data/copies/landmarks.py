"""The landmarks by which a radiograph is recognised when it is resized, cropped or recompressed.

Chest films look so much the same that a cropped copy differs more from its original than two
patients do. So an image is known by 30 spots of high local contrast, each with its place and a
perceptual hash of its surroundings.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import maximum_filter, uniform_filter

from data.images.radiograph import resize

SEARCH_SIZE = 256  # pixels; copies are searched at this size, or at the dataset's if smaller
SIDES = (96, 77, 61)  # pixels; steps of 1.25, by which a crop of 10 % on all sides enlarges
PER_SIDE = 10  # landmarks; with 8, one copy in 60 shares only 4 with its original
BOXES = (5, 7, 13)  # pixels: a spot is 5 wide, compared with 7; its contrast is that of 13
FAINT = 0.3  # of the contrast around; a weaker spot is noise
PATCH = 24  # pixels around a spot that are hashed
# A hash begins with its lowest frequencies: a copy flips 1 in 50 of their bits, of the highest
# 1 in 5.
SLOWEST_FIRST = np.add.outer(range(8), range(8)).ravel().argsort(kind="stable")
BYTES = 10  # of a landmark: 8 of the hash, then x and y, 1 to 255; all 0 if it is missing


def shrink_for_search(image: Image.Image) -> Image.Image:
    """An 8-bit grayscale image at the size at which copies are searched."""
    small = max(image.size) <= SEARCH_SIZE
    return image if small else resize(image, SEARCH_SIZE, SEARCH_SIZE)


def signature(image: Image.Image) -> np.ndarray:
    """The landmarks of an 8-bit grayscale image of any size: (30, 10) uint8, see BYTES.

    A landmark is an extremum of the difference of two box blurs, as in Agrawal 2008
    (doi:10.1007/978-3-540-88693-8_8), but relative to the contrast around it, so that letters and
    borders do not win all places. Its hash is the `phash` of ImageHash, computed for all at once.
    """
    landmarks = np.zeros((len(SIDES) * PER_SIDE, BYTES), np.uint8)
    patches = np.zeros((len(landmarks), PATCH, PATCH), np.uint8)
    small = image.resize((SIDES[0], SIDES[0]), Image.Resampling.BILINEAR, reducing_gap=3.0)
    count = 0
    for side in SIDES:
        pixels = np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))
        x, y = _spots(pixels)
        new = slice(count, count := count + len(x))
        patches[new] = sliding_window_view(pixels, (PATCH, PATCH))[y, x]
        landmarks[new, 8:] = (255 * (np.stack([x, y], axis=1) + PATCH // 2) + side // 2) // side
    landmarks[:count, :8] = _hashes(patches[:count])
    return landmarks


def _spots(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the patches around the PER_SIDE strongest spots of an image (H, W)."""
    pixels = pixels.astype(np.float32)
    spot, ring, around = BOXES
    blob = uniform_filter(pixels, ring) - uniform_filter(pixels, spot)
    contrast = np.sqrt(uniform_filter(blob**2, around).clip(0))
    half = PATCH // 2
    strength = abs(blob / (contrast + 0.1))[half : 1 - half, half : 1 - half]
    y, x = np.nonzero((maximum_filter(strength, spot) == strength) & (strength > FAINT))
    best = np.argsort(-strength[y, x], kind="stable")[:PER_SIDE]
    return x[best], y[best]


def _hashes(patches: np.ndarray) -> np.ndarray:
    """The bits of `imagehash.phash(patch, highfreq_factor=PATCH // 8)`, each patch's in 8 uint8."""
    low = dctn(patches, axes=(1, 2))[:, :8, :8].reshape(-1, 64)[:, SLOWEST_FIRST]
    return np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)

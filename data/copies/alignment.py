"""Whether two images are one radiograph: laid over each other, then compared in fine detail."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

SIDES = (48, 128)  # pixels of the overlap: first coarse, which forgives a poor start, then fine
PROMISING = 0.7  # when coarse; lower than for a duplicate. Copies have 0.89 and more
STEPS = 3  # Gauss-Newton steps on each side; a fourth changes no result by more than 0.01
STILL = 0.05  # pixels; a step this small is the last
BRIGHT = [0] * 16 + [255] * 240  # by gray; JPEG leaves up to a dozen grays in a black frame
OVERLAP = 0.6  # of each side, at least; a crop of 10 % on all four sides leaves 0.8
BLOCKS = 8  # along each side; each has a vote, so that a marker or an arrow spoils only few
AGREE = 0.25  # quantile of the votes; the median would let equal ribs outvote unequal vessels
TEXTURED = 0.25  # variance of the detail, 0 to 1; below is background, clipped white, noise


def similarity(
    first: Image.Image, second: Image.Image, scale: np.ndarray, shift: np.ndarray
) -> float:
    """How alike the fine detail of two 8-bit grayscale images is where they overlap, -1 to 1.

    scale, shift: (2,) in x and y; the point p of `first`, 0 to 1 in each direction, is at about
    scale * p + shift in `second`. This start is refined by least squares on the pixels (Lucas and
    Kanade 1981), with the detail normalised by its local contrast, so that brightness, contrast
    and gamma hardly matter. The result is what three quarters of BLOCKS x BLOCKS correlations
    exceed; 0 where the overlap or the texture is too little to tell.
    """
    ours, theirs = _content(first), _content(second)
    for side in SIDES:
        for _ in range(STEPS):
            low = np.maximum(ours[0], (theirs[0] - shift) / scale)
            high = np.minimum(ours[1], (theirs[1] - shift) / scale)
            of_ours = (high - low) / (ours[1] - ours[0])
            of_theirs = scale * (high - low) / (theirs[1] - theirs[0])
            if min(*of_ours, *of_theirs) < OVERLAP:
                return 0.0
            a = _detail(first, low, high, side)
            b = _detail(second, scale * low + shift, scale * high + shift, side)
            grow, move = _step(a, b)
            middle = (low + high) / 2
            to = scale * (middle + move * (high - low)) + shift
            scale = scale * (1 + grow)
            shift = to - scale * middle
            if max(abs(grow).max(), abs(move).max()) * side < STILL:
                break
        agreement = _agreement(a, b)
        if agreement < PROMISING:
            break
    return agreement


def _content(image: Image.Image) -> np.ndarray:
    """The corners of an image inside its black frame or padding, (2, 2) in parts of its sides."""
    left, top, right, bottom = image.point(BRIGHT).getbbox() or (0, 0, *image.size)
    # Without the outermost pixels, which are a blend with the black beside them.
    corners = np.array([[left + 1, top + 1], [right - 1, bottom - 1]]) / image.size
    return corners if (corners[0] < corners[1]).all() else np.array([[0.0, 0.0], [1.0, 1.0]])


def _detail(image: Image.Image, low: np.ndarray, high: np.ndarray, side: int) -> np.ndarray:
    """The rectangle between two corners, (side, side) float32, without shades, contrast evened."""
    size = np.array(image.size)
    box = (*np.clip(low, 0, 1) * size, *np.clip(high, 0, 1) * size)
    pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, box), np.float32)
    sigma = side / 48 + 0.5
    fine = pixels - gaussian_filter(pixels, sigma, truncate=3)
    contrast = np.sqrt(uniform_filter(fine**2, int(4 * sigma)).clip(0))
    return fine / (contrast + 2)  # 2 gray levels: flat areas with only noise stay small


def _step(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much b must grow and move, (2,) each in parts of its size, to lie on a."""
    side = len(a)
    off = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    down, right = np.gradient(b)
    slopes = np.stack([right * off, down * off[:, None], right, down]).reshape(4, -1)
    missing = (a - b).ravel()
    weighted = slopes / (1 + missing**2)  # Cauchy's: what only one image has hardly counts
    normal = weighted @ slopes.T
    ridge = (1e-3 * np.trace(normal) / 4 + 1e-6) * np.eye(4)
    answer = np.linalg.solve(normal + ridge, weighted @ missing) / side
    return answer[:2], answer[2:]


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """The quantile AGREE of the textured blocks' correlations; 0 if under a quarter is textured."""
    a, b = _blocks(a), _blocks(b)
    spread = np.sqrt((a**2).mean(1) * (b**2).mean(1))
    textured = np.maximum((a**2).mean(1), (b**2).mean(1)) > TEXTURED
    if textured.mean() < 0.25:
        return 0.0
    correlation = (a * b).mean(1) / np.maximum(spread, 1e-6)
    return float(np.quantile(correlation[textured], AGREE))


def _blocks(detail: np.ndarray) -> np.ndarray:
    """(BLOCKS * BLOCKS, pixels of a block), each with mean 0."""
    side = len(detail) // BLOCKS
    blocks = detail.reshape(BLOCKS, side, BLOCKS, side).swapaxes(1, 2).reshape(BLOCKS**2, -1)
    return blocks - blocks.mean(axis=1, keepdims=True)

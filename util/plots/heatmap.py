"""A radiograph beside itself under its heat map."""

import cv2
import numpy as np

STRONGEST = 0.6  # opacity of the hottest place: what lies beneath must still be seen
# (256, 3) uint8, RGB, from no heat to the hottest; OpenCV has BGR.
COLOURS = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_INFERNO)[0, :, ::-1]


def overlay(
    pixels: np.ndarray, heat: np.ndarray, seen: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Radiograph (H, W) uint8 and map (h, w), not negative -> (H, 2 * W, 3) uint8, RGB.

    On the left the radiograph as it is, on the right under its map: from violet over red to yellow
    (inferno, perceptually uniform), the hotter the less transparent. Each map has its own maximum
    as the end of the scale, so that two pictures tell where, and not how much. Between the middles
    of its cells the map is interpolated: detail finer than a cell is none. A map without heat
    leaves the radiograph as it is. seen: left, top, right and bottom of what the map is of, in
    pixels of the radiograph, which may lie outside of it; None is all of it.
    """
    height, width = pixels.shape
    left, top, right, bottom = seen or (0, 0, width, height)
    heat = np.asarray(heat, np.float32) / max(float(np.max(heat)), np.finfo(np.float32).tiny)
    smooth = cv2.resize(heat, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    share = np.zeros((height, width), np.float32)
    inside = np.s_[max(0, top) : bottom, max(0, left) : right]
    share[inside] = smooth[max(0, -top) :, max(0, -left) :][:height, :width].clip(0, 1)
    return np.hstack([np.repeat(pixels[:, :, None], 3, axis=2), covered(pixels, share)])


def covered(pixels: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Radiograph (H, W) uint8 under heat (H, W), 0 .. 1 of the strongest -> (H, W, 3) uint8."""
    colours = COLOURS[(255 * share).round().astype(np.uint8)]
    opacity = STRONGEST * share[:, :, None]
    mixed = (1 - opacity) * pixels[:, :, None] + opacity * colours
    return mixed.round().astype(np.uint8)

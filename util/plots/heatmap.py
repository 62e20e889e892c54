"""A radiograph beside itself under its heat map."""

import cv2
import numpy as np

STRONGEST = 0.6  # opacity of the hottest place: what lies beneath must still be seen


def overlay(pixels: np.ndarray, heat: np.ndarray, height: int = 384) -> np.ndarray:
    """Radiograph (H, W) uint8 and map (h, w), not negative -> (height, 2 * width, 3) uint8, RGB.

    On the left the radiograph as it is, on the right under its map: from violet over red to yellow
    (inferno, perceptually uniform), the hotter the less transparent. Each map has its own maximum
    as the end of the scale, so that two pictures tell where, and not how much. Between the middles
    of its cells the map is interpolated: detail finer than a cell is none. A map without heat
    leaves the radiograph as it is. width keeps the proportions of the radiograph.
    """
    width = max(1, round(pixels.shape[1] * height / pixels.shape[0]))
    shrinks = height < pixels.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    grey = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=method)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    heat = np.asarray(heat, np.float32) / max(float(np.max(heat)), np.finfo(np.float32).tiny)
    smooth = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colours = cv2.applyColorMap((255 * smooth).round().astype(np.uint8), cv2.COLORMAP_INFERNO)
    opacity = STRONGEST * smooth[:, :, None]
    covered = (1 - opacity) * picture + opacity * colours[:, :, ::-1]  # OpenCV has BGR
    return np.hstack([picture, covered.round().astype(np.uint8)])

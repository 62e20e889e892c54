"""Varied appearance: what differs between hospitals, and says nothing of a disease.

Sharpness, noise, compression, tone curve, local contrast, borders and letters name the source of a
film. Drawn at random they overlap between sources, so that a network has less to tell them by
(domain randomization; Zhang et al., IEEE TMI 2020, stack such changes for unseen hospitals).
"""

from collections.abc import Callable

import cv2
import numpy as np

Draw = np.random.Generator
CHANCE = 0.5  # of each change


def vary_appearance(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """(H, W) uint8 -> (H, W) uint8. strength: above 0; 1 is as far as films differ."""
    for change in CHANGES:
        if draw.random() < CHANCE:
            pixels = change(np.ascontiguousarray(pixels), strength, draw)
    return pixels


def _tone(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """A power of the gray values, or a part of the way to an even histogram."""
    grays = np.arange(256) / 255
    curve = grays ** np.exp(draw.uniform(-0.7, 0.7) * strength)
    if draw.random() < 0.5:
        counts = np.bincount(pixels.ravel(), minlength=256).astype(float)
        even = (np.cumsum(counts) - counts / 2) / counts.sum()
        part = draw.uniform(0, 1) * strength
        curve = (1 - part) * curve + part * even
    return cv2.LUT(pixels, (255 * curve).round().astype(np.uint8))


def _local_contrast(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """Contrast-limited adaptive equalisation, in part."""
    cells = int(draw.integers(2, 9))
    local = cv2.createCLAHE(1 + 3 * strength * draw.random(), (cells, cells)).apply(pixels)
    part = strength * draw.uniform(0.3, 1)
    return cv2.addWeighted(local, part, pixels, 1 - part, 0)


def _sharpness(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """Scaled down and up again, blurred, or sharpened."""
    kind, (height, width) = draw.integers(3), pixels.shape
    if kind == 0:
        factor = draw.uniform(1, 1 + 1.5 * strength)
        small = (max(8, round(width / factor)), max(8, round(height / factor)))
        down = draw.choice([cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC])
        up = draw.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4])
        return cv2.resize(
            cv2.resize(pixels, small, interpolation=int(down)),
            (width, height),
            interpolation=int(up),
        )
    soft = cv2.GaussianBlur(pixels, (0, 0), draw.uniform(0.3, 0.3 + 0.9 * strength))
    if kind == 1:
        return soft
    amount = draw.uniform(0, 1.5 * strength)
    return cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0)


def _noise(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    sigma = draw.uniform(0, 10 * strength)
    noise = draw.standard_normal(pixels.shape, np.float32)
    if draw.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (0, 0), 0.8) * 2
    return (pixels + sigma * noise).clip(0, 255).round().astype(np.uint8)


def _compression(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    quality = int(draw.uniform(95 - 70 * strength, 95))
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def _border(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """Each edge is cut, or painted in one gray."""
    height, width = pixels.shape
    reach = 0.12 * strength
    top, bottom, left, right = (draw.uniform(0, reach, 4) * (draw.random(4) < 0.6)).tolist()
    rows = slice(round(top * height), height - round(bottom * height))
    columns = slice(round(left * width), width - round(right * width))
    if draw.random() < 0.5:
        return cv2.resize(pixels[rows, columns], (width, height), interpolation=cv2.INTER_LINEAR)
    painted = np.full_like(pixels, draw.choice([0, 0, 255, int(draw.integers(256))]))
    painted[rows, columns] = pixels[rows, columns]
    return painted


def _letters(pixels: np.ndarray, strength: float, draw: Draw) -> np.ndarray:
    """Letters, digits and signs as burned in, most of them above or below the lungs."""
    height, width = pixels.shape
    pixels = pixels.copy()
    for _ in range(draw.integers(1, 1 + round(4 * strength) + 1)):
        x, y = draw.uniform(0, 1, 2)
        if draw.random() < 0.8:
            y = draw.choice([draw.uniform(0.02, 0.2), draw.uniform(0.85, 0.98)])
        length = draw.integers(1, 8)
        text = "".join(chr(c) for c in draw.integers(48, 91, length))
        size = draw.uniform(0.2, 0.2 + 0.6 * strength) * height / 96
        gray = int(draw.choice([255, 255, 0, int(draw.integers(256))]))
        cv2.putText(
            pixels,
            text,
            (int(x * width) - 4, int(y * height)),
            int(draw.integers(0, 8)),
            size,
            gray,
            1,
            cv2.LINE_AA,
        )
    return pixels


CHANGES: tuple[Callable[[np.ndarray, float, Draw], np.ndarray], ...] = (
    _border, _tone, _local_contrast, _sharpness, _letters, _noise, _compression,
)  # fmt: skip

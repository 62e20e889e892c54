"""The mistakes that a model was surest of, as pictures for the report."""

from collections.abc import Callable
from io import BytesIO

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from util.plots.heatmap import overlay

WORST = 12  # of them
HEIGHT = 384  # pixels of each
SAID = ("truth", "predicted", "source", "view")


def gallery(
    table: pd.DataFrame,
    pixels_of: Callable[[int], np.ndarray],
    probabilities: np.ndarray,
    heat: np.ndarray | None,
) -> list[dict]:
    """What `util.report.write.write_report` shows of the surest mistakes, the worst first.

    `table` has N rows with filename, source, view, truth and predicted; `pixels_of` gives an
    image, (H, W) uint8, by its row; `probabilities` (N, K), `heat` (N, h, w) or
    None, which leaves the maps out.
    """
    sure = probabilities.max(1)
    wrong = np.flatnonzero(table["truth"] != table["predicted"])
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:WORST]
    rows = table.rename(columns={"filename": "file"})[["file", *SAID]].iloc[worst]
    maps = [None] * len(table) if heat is None else heat
    return [
        {"image": film_picture(pixels_of(k), maps[k]), "probability": float(sure[k]), **row}
        for k, row in zip(worst, rows.to_dict("records"), strict=True)
    ]


def film_picture(pixels: np.ndarray, heat: np.ndarray | None) -> bytes:
    """A PNG of a film (H, W) uint8, and beside it the same under its map (h, w), if it has one."""
    height, width = pixels.shape
    size = max(1, round(width * HEIGHT / height)), HEIGHT
    method = cv2.INTER_AREA if height > HEIGHT else cv2.INTER_CUBIC
    scaled = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=method)
    file = BytesIO()
    Image.fromarray(scaled if heat is None else overlay(scaled, heat)).save(file, "PNG")
    return file.getvalue()

"""The picture of a dataset shows what is in it."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from util.plots.dataset import TILE, mosaic, plot_dataset

COLUMNS = ["filename", "label", "patient_id", "source", "view", "sex", "age"]
SCORE = {"value": 0.6, "low": 0.4, "high": 0.8}


def tables(labels, **splits):
    rows = {
        split: [
            (f"{split}-{k}.png", labels[k % len(labels)], f"s:{k}", "s", "PA", "unknown", "20-39")
            for k in range(count)
        ]
        for split, count in splits.items()
    }
    return {split: pd.DataFrame(part, columns=COLUMNS) for split, part in rows.items()}


def test_images_stand_side_by_side_in_reading_order():
    sheet = mosaic([np.full((50, 40), shade, np.uint8) for shade in (10, 20, 30)], across=2, down=2)
    side = TILE + 2
    assert sheet.shape == (2 * side, 2 * side)
    assert sheet[0, 0] == 10
    assert sheet[0, side] == 20
    assert sheet[side, 0] == 30
    assert sheet[side, side] == 255


@pytest.mark.parametrize("labels", [["normal", "COVID-19"], ["a", "b", "c", "d", "cost in $"]])
def test_the_sheet_shows_images_of_every_class_in_every_split(tmp_path, labels):
    shown = []

    def read(split, name):
        shown.append(name)
        return np.zeros((8, 8), np.uint8)

    few = tables(labels, train=60, val=2 * len(labels), test=0)
    plot_dataset(few, {"source": {"val": SCORE}, "view": {"val": SCORE}}, read, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 1000
    assert len(set(shown)) == len(shown)
    assert {name for name in shown if name.startswith("val")} == set(few["val"]["filename"])
    assert sum(name.startswith("train") for name in shown) == 12 * min(len(labels), 5)


def test_the_same_dataset_gives_the_same_bytes(tmp_path):
    few = tables(["normal", "COVID-19"], train=6, val=2)
    for name in ("a.png", "b.png"):
        scores = {"source": {"val": SCORE}}
        plot_dataset(few, scores, lambda *_: np.zeros((8, 8), np.uint8), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

"""Films of a run with folds, as the network sees them that never saw their patients."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from data.dataset import Part, StoredDataset, named, read_some
from data.dataset_folder import read_about
from data.split.folds import TRAINED
from model.predictor import Predictor


def films_and_maps(
    run: Path, films: pd.DataFrame, dataset: str | None, device: str, batch_size: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name of each film -> its pixels (H, W) uint8, and a map (h, w) of what spoke for the class
    that the network of its fold says.

    films: rows of the run's out_of_fold.csv. dataset: the folder that the run was trained on; None:
    where it was then. ValueError where another dataset is there.
    """
    seen = {}
    for fold, rows in tqdm(films.groupby("fold"), "Folds", leave=False, disable=None):
        predictor = Predictor.load(run / f"fold-{fold}", device)
        checkpoint, mapping = predictor.checkpoint, predictor.checkpoint["mapping"]
        folder = Path(dataset or checkpoint["config"]["dataset"])
        if read_about(folder)["fingerprint"] != checkpoint["fingerprint"]:
            found = f"{folder}: found another dataset than the one that {run} was trained on"
            raise ValueError(f"{found}; expected that. Give --dataset if it is elsewhere")
        part = Part(TRAINED, named(rows["filename"]))
        images = StoredDataset(folder, part, mapping)
        pixels, _ = read_some(folder, part, mapping, predictor.form, len(rows))
        heat = predictor.examine(pixels.split(batch_size)).heat
        for k, name in enumerate(images.table["filename"]):
            seen[name] = images[k][0][0].numpy(), heat[k]
    return seen

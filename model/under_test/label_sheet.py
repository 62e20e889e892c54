"""A sheet of the films whose labels the folds of a run doubt most, for a reviewer."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from data.dataset import Part, StoredDataset, named, read_some
from data.dataset_folder import read_about
from data.sources.tables import read_rows
from data.split.folds import TRAINED
from model.predictor import Predictor
from util.files import make_folder
from util.metrics.label_doubt import by_patient, suspects
from util.plots.gallery import film_picture
from util.report.label_sheet import SUSPECTS, write_label_sheet
from util.training.folds import OUT_OF_FOLD
from util.training.out_of_fold import classes_of, read_out_of_fold


def label_sheet(
    run: Path, most: int, out: Path, dataset: str | None, device: str, batch_size: int
) -> tuple[pd.DataFrame, Path]:
    """Writes the `most` doubted films to `out`, each as the network sees it that never saw its
    patient. The films, the most doubted first, and the page.

    run: its folder. dataset: that the run was trained on; None: where it was then.
    The errors of `read_out_of_fold`, and FileExistsError where `out` holds a sheet with decisions.
    """
    table = read_out_of_fold(run / OUT_OF_FOLD)
    sheet = out / SUSPECTS
    if sheet.is_file() and any(row["decision"] for row in read_rows(sheet, ["decision"])):
        text = f"{sheet}: found decisions in it, which would be lost; expected none"
        raise FileExistsError(f"{text}. Move it, or give --out")
    classes = classes_of(table)
    doubted = suspects(table, classes)
    films = by_patient(doubted[:most])
    seen = films_and_maps(run, films, dataset, device, batch_size)
    pictures = [film_picture(*seen[name]) for name in films["filename"]]
    summary = {
        "classes": classes,
        "images": len(table),
        "patients": table["patient_id"].nunique(),
        "suspects": len(doubted),
    }
    return films, write_label_sheet(make_folder(out), films, pictures, summary)


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

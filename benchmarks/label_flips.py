"""Labels flipped on purpose: how many of them are among those that a run with folds doubts most.

python3 -m benchmarks labels --dataset dataset > flips.csv
python3 generate_dataset.py flipped --corrections flips.csv ...      with the flags of the dataset
python3 train.py --dataset flipped --folds 5 --name flipped
python3 -m benchmarks labels --dataset flipped --run experiments/flipped
"""

import argparse
import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.table import Row
from data.dataset_folder import read_about, read_split
from data.selection.corrections import COLUMNS, LEAVE_OUT
from data.split.folds import TRAINED
from util.metrics.intervals import clustered_wilson
from util.metrics.label_doubt import label_doubt
from util.training.folds import OUT_OF_FOLD
from util.training.out_of_fold import classes_of, read_out_of_fold


def write_flips(dataset: Path, share: float, seed: int) -> None:
    """Prints corrections that give a share of the images of each label another label, each with the
    same chance. The test split is not read."""
    table = pd.concat([read_split(dataset, split) for split in TRAINED])
    generator = np.random.default_rng(seed)
    labels = sorted(set(table["label"]))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in labels:
        films = table.loc[table["label"] == label, ["source", "original"]].to_numpy()
        others = [other for other in labels if other != label]
        for k in generator.permutation(len(films))[: round(share * len(films))]:
            writer.writerow([*films[k], generator.choice(others)])


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each ranking: which share of the flipped labels is among as large a share of all
    images, args.share, as are doubted most."""
    table = read_out_of_fold(args.run / OUT_OF_FOLD)
    classes = classes_of(table)
    was = flipped_labels(args.dataset)
    sources = table["source"]
    before = pd.Series(list(zip(sources, table["original"], strict=True))).map(was)
    flipped = before.notna().to_numpy()
    if not flipped.any():
        found = f"found no image of {args.run} whose label was changed there"
        raise ValueError(f"{args.dataset}: {found}; expected the dataset that it was trained on")
    own = set(zip(sources, before.where(flipped, table["label"]), strict=True))
    plausible = np.array([pair in own for pair in zip(sources, table["label"], strict=True)])
    kinds = {"all": flipped, "to a label of its source": flipped & plausible}
    kinds["to another"] = flipped & ~plausible
    rows = []
    for name, rank in RANKINGS.items():
        order = np.argsort(-rank(table, classes), kind="stable")
        first = np.isin(np.arange(len(table)), order[: round(args.share * len(table))])
        patients = table["patient_id"].to_numpy()
        found = {kind: _share(first[of], patients[of]) for kind, of in kinds.items()}
        rows.append({"doubted most by": name, "flipped labels": int(flipped.sum()), **found})
    return rows


def flipped_labels(dataset: Path) -> dict[tuple[str, str], str]:
    """(source, original) of each film whose label was corrected -> the label that it had."""
    films = read_about(dataset).get("corrections", {}).get("films", ())
    return {
        (film["source"], film["original"]): film["label"]
        for film in films
        if film["decision"] not in (film["label"], LEAVE_OUT)
    }


def _share(found: np.ndarray, patients: np.ndarray) -> str:
    if not len(found):
        return "none"
    low, high = clustered_wilson(found, patients)
    return f"{found.mean():.2f} ({low:.2f} - {high:.2f})"


def _of_the_sheet(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """The doubt, and no doubt of images that their network names as their label does."""
    named = table[[f"p({name})" for name in classes]].to_numpy().argmax(1)
    other = np.array(classes)[named] != table["truth"].to_numpy()
    return np.where(other, label_doubt(table, classes), -np.inf)


def _loss(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    own = table["truth"].to_numpy()[:, None] == np.array(classes)
    return -np.log(table[[f"p({name})" for name in classes]].to_numpy()[own])


def _loss_within(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """In standard deviations from the mean of the images of the label and source."""
    loss = pd.Series(_loss(table, classes), table.index)
    alike = loss.groupby([table["label"], table["source"]])
    return ((loss - alike.transform("mean")) / alike.transform("std")).fillna(0).to_numpy()


RANKINGS: Mapping[str, Callable] = {
    "--suspects": _of_the_sheet,
    "loss": _loss,
    "loss, within label and source": _loss_within,
}

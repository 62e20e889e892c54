"""Three data sets made of the train and validation images of one; each image is validated on once.

A hundred validation images cannot tell two good recipes apart; a thousand may. The test split is
not read.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd

from data.dataset_folder import read_about, read_split
from data.patients import join_copies
from data.split import SPLITS, split_patients


def make_folds(dataset: Path, folder: Path) -> list[Path]:
    """Makes `folder`/fold-1 to fold-3, dataset folders of links, unless they exist.

    All images of a patient, and all copies of a radiograph, stay in one fold.
    """
    about = read_about(dataset)
    splits = [read_split(dataset, split).assign(split=split) for split in SPLITS[:2]]
    table = pd.concat(splits, ignore_index=True)
    patients = join_copies(table["patient_id"], about["duplicates"])
    strata = list(zip(table["label"], table["source"], strict=True))
    part = pd.Series(split_patients(patients, strata, (1 / 3,) * 3, seed=0))
    folds = [folder / f"fold-{k}" for k in range(1, 4)]
    for fold, held_out in zip(folds, SPLITS, strict=True):
        _write(fold, dataset, about, table, part == held_out)
    return folds


def _write(
    fold: Path, dataset: Path, about: dict, table: pd.DataFrame, held_out: pd.Series
) -> None:
    names = [about["fingerprint"], *sorted(table["filename"][held_out])]
    fingerprint = hashlib.sha256("\n".join(names).encode()).hexdigest()
    done = fold / "dataset.json"
    if done.is_file() and read_about(fold)["fingerprint"] == fingerprint:
        return
    shutil.rmtree(fold, ignore_errors=True)
    for split, rows in {"train": table[~held_out], "val": table[held_out]}.items():
        (fold / split).mkdir(parents=True)
        for name, home in zip(rows["filename"], rows["split"], strict=True):
            (fold / split / name).symlink_to((dataset / home / name).resolve())
        rows.drop(columns="split").to_csv(fold / f"{split}_metadata.csv", index=False)
    done.write_text(json.dumps(about | {"fingerprint": fingerprint}))

"""Three data sets of the train and validation images of one, so that each is validated on once.

A validation split of a hundred images does not tell two good recipes apart; a thousand may. The
test split is left alone.
"""

import hashlib
import json
from itertools import chain
from pathlib import Path

import pandas as pd

from data.folder import read_about, read_split
from data.patients import join_patients
from data.split import SPLITS, split_patients


def make_folds(dataset: Path, folder: Path, seed: int = 0) -> list[Path]:
    """`folder`/fold-1 to fold-3, dataset folders of links, unless they are there.

    Patients, and radiographs that were found twice, stay on one side.
    """
    about = read_about(dataset)
    splits = [read_split(dataset, split).assign(split=split) for split in SPLITS[:2]]
    table = pd.concat(splits, ignore_index=True)
    twice = {
        (image["source"], image["original"]): k
        for k, group in enumerate(about["duplicates"], start=1)
        for image in group["images"]
    }
    keys = zip(table["source"], table["original"], strict=True)
    patients = join_patients(list(table["patient_id"]), [twice.get(key) for key in keys])
    strata = list(zip(table["label"], table["source"], strict=True))
    part = pd.Series(split_patients(patients, strata, (1 / 3,) * 3, seed), index=table.index)
    folds = [folder / f"fold-{k}" for k in range(1, 4)]
    for fold, held_out in zip(folds, SPLITS, strict=True):
        if not (fold / "dataset.json").is_file():
            _write(fold, dataset, about, table, part == held_out)
    return folds


def _write(
    fold: Path, dataset: Path, about: dict, table: pd.DataFrame, held_out: pd.Series
) -> None:
    for split, rows in {"train": table[~held_out], "val": table[held_out]}.items():
        (fold / split).mkdir(parents=True, exist_ok=True)
        for name, home in zip(rows["filename"], rows["split"], strict=True):
            link = fold / split / name
            link.unlink(missing_ok=True)
            link.symlink_to((dataset / home / name).resolve())
        rows.drop(columns="split").to_csv(fold / f"{split}_metadata.csv", index=False)
    names = "\n".join(chain([about["fingerprint"]], sorted(table["filename"][held_out])))
    fingerprint = hashlib.sha256(names.encode()).hexdigest()
    (fold / "dataset.json").write_text(json.dumps(about | {"fingerprint": fingerprint}))

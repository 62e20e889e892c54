"""Three data sets made of the train and validation images of one; each image is validated on once.

A hundred validation images cannot tell two good recipes apart; a thousand may. The test split is
not read.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd

from data.dataset_folder import read_about
from data.split.folds import images_by_fold


def make_folds(dataset: Path, folder: Path) -> list[Path]:
    """Makes `folder`/fold-1 to fold-3, dataset folders of links, unless they exist.

    All images of a patient, and all copies of a radiograph, stay in one fold.
    """
    table = images_by_fold(dataset, 3)
    folds = [folder / f"fold-{k}" for k in range(1, 4)]
    for k, fold in enumerate(folds, start=1):
        _write(fold, dataset, read_about(dataset), table, table["fold"] == k)
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
        for name, (home, _) in zip(rows["filename"], rows.index, strict=True):
            (fold / split / name).symlink_to((dataset / home / name).resolve())
        rows.drop(columns=["person", "fold"]).to_csv(fold / f"{split}_metadata.csv", index=False)
    done.write_text(json.dumps(about | {"fingerprint": fingerprint}))

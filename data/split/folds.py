"""Folds: the patients of train and val are cut into parts, each held out by one of the trainings.

A training of a fold has its own validation, so that the images held out choose nothing: neither
the epoch, nor the temperature, nor the gate. The test split is not read.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from data.dataset import WHOLE, Part, named
from data.dataset_folder import read_about, read_split
from data.left_out import of_sources, others
from data.patients import join_copies
from data.split import SPLITS, split_patients
from util.training.folds import numbers

TRAINED = SPLITS[:2]
VAL_SHARE = 0.1  # of the patients not held out, as generate_dataset.py --val-size
SEED = 0  # not that of the run: folds of two runs on one dataset are the same, and so compare


def images_by_fold(folder: Path, number: int) -> pd.DataFrame:
    """The metadata of train and val, by split and row, with the `fold` of each image, 1 ... number,
    and its `person`: all images of one, and all copies of a radiograph, are in one fold.

    Each class and each source has the same share of every fold, as far as patients allow.
    ValueError where a fold would be empty.
    """
    table = pd.concat({split: read_split(folder, split) for split in TRAINED})
    table["person"] = join_copies(table["patient_id"], read_about(folder).get("duplicates", ()))
    table["fold"] = _cut(table, dict.fromkeys(range(1, number + 1), 1 / number))
    if found := number - table["fold"].nunique():
        raise ValueError(
            f"folds: {folder} has {table['person'].nunique()} patients in train and val, which"
            f" leave {found} of {number} folds empty; expected fewer folds"
        )
    return table


def parts_of_training(
    folder: Path, leave_out: Collection[str] | None = None, fold: str | None = None
) -> dict[str, str | Part]:
    """Which images a run trains on, `train`; validates on, `val`; and, of a fold, `held_out`.

    leave_out: sources that it does not see. fold: `2/5`, the second of five, or None.
    """
    if not fold:
        keep = others(leave_out)
        return {use: Part([split], keep) for use, split in WHOLE.items()} if keep else WHOLE
    k, number = numbers(fold)
    table = images_by_fold(folder, number)
    table = table[~of_sources(table, leave_out or ())]
    rest = table[table["fold"] != k]
    use = pd.Series("held_out", table.index)
    use[rest.index] = _cut(rest, {"train": 1 - VAL_SHARE, "val": VAL_SHARE})
    return {
        name: Part(TRAINED, named(table["filename"][use == name]))
        for name in ("train", "val", "held_out")
    }


def _cut(table: pd.DataFrame, shares: dict) -> list:
    """For each image one of the keys of `shares`, by person."""
    strata = list(zip(table["label"], table["source"], strict=True))
    return split_patients(
        table["person"], strata, [*shares.values()], SEED, splits=[*shares.keys()]
    )

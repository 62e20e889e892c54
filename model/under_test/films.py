"""The films of a dataset folder that a file from elsewhere speaks of, by their names."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from data.dataset_folder import read_split
from data.record import SPLITS
from util.words import counted


def used_films(folder: Path, mapping: Mapping[str, int]) -> dict[str, pd.DataFrame]:
    """The metadata of each split, with the films whose label the mapping knows."""
    tables = {split: read_split(folder, split) for split in SPLITS}
    return {split: table[table["label"].isin(mapping)] for split, table in tables.items()}


def check_names(path: Path, names: Sequence[str], folder: Path) -> None:
    """ValueError for a name that stands there twice, and for one that is not the folder's."""
    series = pd.Series(names, dtype=object)
    if (twice := series[series.duplicated()]).size:
        raise ValueError(f"{path}: found {twice.iloc[0]} twice; expected one row for each film")
    known = pd.concat([read_split(folder, split)["filename"] for split in SPLITS])
    if (others := series[~series.isin(known)]).size:
        found = f"{counted(len(others), 'name')} that {folder} does not have"
        raise ValueError(
            f"{path}: found {found}, the first is {others.iloc[0]}; expected names as in the column"
            " filename of its *_metadata.csv"
        )


def check_complete(path: Path, names: Collection[str], films: pd.DataFrame, split: str) -> None:
    """ValueError unless all `films` of the split are among the names, and there is one."""
    if films.empty:
        raise ValueError(f"{path}: no film of {split} has a label of the mapping; expected some")
    missing = films["filename"][~films["filename"].isin(names)]
    if len(missing):
        raise ValueError(
            f"{path}: {len(missing)} of the {counted(len(films), 'film')} of {split} are missing,"
            f" the first is {missing.iloc[0]}; add them"
        )

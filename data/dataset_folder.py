"""The dataset folder: written whole or not at all, and checked when it is read.

dataset/
  train/ val/ test/                     8-bit grayscale PNGs of one size
  train_metadata.csv val_... test_...   one row per image, COLUMNS and, if known, ORIGIN
  picture_statistics.csv                one row per image: sides of the raw file, numbers of the PNG
  dropped.csv                           one row per raw row that was left out, with the reason
  audit.png                             the counts as charts
  dataset.json                          arguments, counts, duplicates, fingerprint; written last
"""

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from data.images.picture_statistics import STATISTICS
from data.images.preparation import Preparation
from data.prepare import Prepared
from data.record import Dropped, csv_text
from data.sources.tables import read_table_text
from data.split import SPLITS
from util.files import errors_name, half_written, locked, require_folder

COLUMNS = ["filename", "label", "patient_id", "source", "view", "sex", "age", "finding", "original"]
ORIGIN = ["hospital", "country", "licence"]  # further columns, if any image of the dataset has them
PICTURES = "picture_statistics.csv"
# All names in a dataset folder, finished or not; a killed run may leave half-written files too.
OURS = {"images", PICTURES, "dropped.csv", "audit.png", "dataset.json"}.union(
    *({split, f"{split}_metadata.csv"} for split in SPLITS)
)

log = logging.getLogger(__name__)


@contextmanager
def staging(path: Path) -> Iterator[Path]:
    """A folder `<path>.partial` to fill; becomes `path` if the block succeeds, or is removed.

    The remains of a killed run are removed first. FileExistsError if `path` holds something.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(
            f"{path}: exists and is not empty; remove it or choose another folder"
        )
    path = path.absolute()
    if os.path.ismount(path):
        raise FileExistsError(f"{path}: a mount point cannot be replaced; give a folder in it")
    partial = path.with_name(f"{path.name}.partial")
    old = path.with_name(f"{path.name}.partial.old")
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.name}.lock"), path):
        for remains in (old, partial):
            _check_remains(remains)
        shutil.rmtree(old, ignore_errors=True)
        if partial.exists():
            partial.rename(old)  # a worker that outlived a killed run finds no folder to write to
            shutil.rmtree(old, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            if path.exists():
                path.rmdir()
            partial.rename(path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _check_remains(folder: Path) -> None:
    if not folder.exists():
        return
    names = {entry.name for entry in folder.iterdir()} - OURS
    if foreign := sorted(name for name in names if half_written(name) not in OURS):
        raise FileExistsError(
            f"{folder}: found {foreign[0]} in it; expected the remains of a dataset, or no such"
            " folder. Move it"
        )


def write_tables(
    folder: Path,
    images: Path,
    kept: Sequence[Prepared],
    splits: Sequence[str],
    dropped: Sequence[Dropped],
) -> str:
    """Moves each image from `images` to its split, writes the CSVs; returns the fingerprint.

    The fingerprint is a SHA-256 over every row and every pixel of the three splits.
    """
    fingerprint = hashlib.sha256()
    known = [name for name in ORIGIN if any(getattr(item.record, name) for item in kept)]
    for split in SPLITS:
        (folder / split).mkdir()
        of_split = [item for item, name in zip(kept, splits, strict=True) if name == split]
        for item in of_split:
            (images / item.filename).rename(folder / split / item.filename)
        rows = [_escaped({"filename": item.filename, **asdict(item.record)}) for item in of_split]
        table = pd.DataFrame(rows, columns=[*COLUMNS, *known])
        _write_csv(table, folder / f"{split}_metadata.csv")
        fingerprint.update(table.to_csv(index=False).encode())
        fingerprint.update("".join(item.digest for item in of_split).encode())
    rows = [(item.filename, item.width, item.height, *item.statistics) for item in kept]
    table = pd.DataFrame(rows, columns=["filename", "width", "height", *STATISTICS])
    _write_csv(table, folder / PICTURES, float_format="%.6g")
    rows = [_escaped(asdict(item)) for item in sorted(dropped, key=lambda d: (d.source, d.row))]
    table = pd.DataFrame(rows, columns=list(Dropped.__dataclass_fields__))
    _write_csv(table, folder / "dropped.csv")
    return fingerprint.hexdigest()


def _write_csv(table: pd.DataFrame, path: Path, float_format: str | None = None) -> None:
    with errors_name(path):
        table.to_csv(path, index=False, lineterminator="\n", float_format=float_format)


def _escaped(row: dict) -> dict:
    """The row with `csv_text` for its texts."""
    return {
        name: csv_text(value) if isinstance(value, str) else value for name, value in row.items()
    }


def read_about(folder: Path) -> dict:
    """`dataset.json` of a finished dataset folder; FileNotFoundError or ValueError for others."""
    remedy = f"make it with generate_dataset.py {folder}, or give --dataset if it is elsewhere"
    require_folder(folder, remedy)
    path = folder / "dataset.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{folder}: no dataset.json, so it is not a finished dataset folder; give one that"
            " generate_dataset.py made"
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); run generate_dataset.py again") from None
    if not isinstance(about, dict) or not {"arguments", "labels", "fingerprint"} <= about.keys():
        raise ValueError(
            f"{path}: not written by generate_dataset.py; give the folder that it made"
        )
    return about


def preparation(about: dict) -> Preparation:
    """How the images of the dataset folder with this dataset.json were made."""
    names = ("size", "fit", "equalize")
    if lost := [name for name in names if name not in about["arguments"]]:
        raise ValueError(f"dataset.json: no {lost[0]}; make the dataset again")
    return Preparation(**{name: about["arguments"][name] for name in names})


def read_table(folder: Path, split: str) -> pd.DataFrame:
    """The metadata of a split, all columns as text; FileNotFoundError or ValueError if broken."""
    path = folder / f"{split}_metadata.csv"
    if not path.exists():
        raise FileNotFoundError(f"{folder}: no {path.name}; run generate_dataset.py again")
    return read_frame(path, COLUMNS)


def read_frame(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The rows of a CSV file, all columns as text; ValueError if it lacks one of `columns`."""
    text, separator = read_table_text(path, columns)
    try:
        table = pd.read_csv(
            io.StringIO(text, newline=""), sep=separator, dtype=str, keep_default_na=False
        )
    except ValueError as error:  # pandas' parser and encoding errors, an empty file
        reason = " ".join(str(error).split())  # pandas' messages end with a line break
        raise ValueError(f"{path}: {reason}; expected a CSV with a header") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; expected {', '.join(columns)}")
    return table


def read_split(folder: Path, split: str) -> pd.DataFrame:
    """The metadata of a split of a finished dataset folder; every row's image exists."""
    read_about(folder)
    table = read_table(folder, split)
    present = {file.name for file in (folder / split).glob("*.png")}
    lost = [name for name in table["filename"] if name not in present]
    if lost:
        raise FileNotFoundError(
            f"{folder / split}: {len(lost)} of {len(table)} images of {split}_metadata.csv are"
            f" missing, the first is {lost[0]}; run generate_dataset.py again"
        )
    return table


def add_pictures(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The metadata with the numbers of each picture: `width` and `height` of the raw file, and the
    STATISTICS of data.images.picture_statistics. Without, and with a warning, if it has none.
    """
    path = folder / PICTURES
    try:
        pictures = pd.read_csv(path, index_col="filename")[["width", "height", *STATISTICS]]
        numbers = pictures.astype(float).reindex(table["filename"]).set_axis(table.index)
    except (OSError, ValueError, KeyError):  # also of pandas for a broken table, or a name twice
        numbers = None
    if numbers is None or numbers.isna().any(axis=None):
        text = "%s: missing, or not a number for each image; run generate_dataset.py again to see"
        log.warning(f"{text} what picture statistics score", path)
        return table
    return table.join(numbers)

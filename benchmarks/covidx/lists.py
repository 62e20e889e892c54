"""What the label files of COVIDx say before anyone looks at a film: who is in them, and what the
part that a film comes from, its source, gives away of its class."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.audit.cheats import chances_by
from data.record import SPLITS
from data.sources.covidx import Line, label_files, label_of, parse, patients_of, texts_of
from util.files import require_folder
from util.metrics.intervals import Metric, clustered_wilson, metric
from util.metrics.scores import evaluate_predictions

log = logging.getLogger(__name__)
NOT_NAMED = "not named"  # the source of a line that has none
SCORES = ("accuracy", "macro_f1", "macro_auroc")


class Version(NamedTuple):
    """The films of one version of COVIDx: split -> a row for each, with patient_id, file, label and
    source."""

    name: str
    films: dict[str, pd.DataFrame]


def read_versions(folders: Sequence[Path]) -> list[Version]:
    """Those whose label files lie in the folders, or one folder below.

    A line without a source has that of the same file in another version. Versions without a film of
    train or of test are left out, with a warning. ValueError where none is left.
    """
    found = [version for folder in folders for version in _versions(folder)]
    if not found:
        where = ", ".join(map(str, folders))
        text = f"{where}: no lists of films; expected train_COVIDx9A.txt and test_COVIDx9A.txt, or"
        raise ValueError(f"{text} train.txt and test.txt, or folders with them")
    every = pd.concat([films for version in found for films in version.films.values()])
    source_of = every[every["source"] != ""].drop_duplicates("file").set_index("file")["source"]
    for version in found:
        for films in version.films.values():
            elsewhere = films["file"].map(source_of).fillna(NOT_NAMED)
            films["source"] = films["source"].where(films["source"] != "", elsewhere)
    return found


def _versions(folder: Path) -> Iterator[Version]:
    require_folder(folder, "expected a folder with label files of COVIDx")
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        for name, tables in label_files(place).items():
            films = _films(tables, place)
            if lacking := [split for split in ("train", "test") if not len(films.get(split, ()))]:
                text = "%s: left out, as its label files have no film of %s"
                log.warning(text, place / name, " and ".join(lacking))
                continue
            yield Version(name or place.resolve().name, films)


def _films(tables: Mapping[str, Path], folder: Path) -> dict[str, pd.DataFrame]:
    lines: list[tuple[str, Line]] = [
        (split, line)
        for split, table in tables.items()
        for line in filter(None, map(parse, texts_of(table)))
    ]
    patients = patients_of([(f"{split}/{line.file}", line) for split, line in lines], folder)
    rows = [
        (split, patient, line.file, label_of(line.finding), line.source.lower())
        for (split, line), patient in zip(lines, patients, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["split", "patient_id", "file", "label", "source"])
    table = table.drop_duplicates(["split", "file"])
    return {split: table[table["split"] == split].copy() for split in tables}


def source_alone(version: Version) -> dict[str, Metric]:
    """What the source alone scores on the test list: each film gets the shares of the classes that
    its source has in train."""
    train, test = version.films["train"], version.films["test"]
    classes = sorted({*train["label"], *test["label"]})
    chances = chances_by("source", train, test, classes)
    targets = np.array([classes.index(label) for label in test["label"]])
    scores = evaluate_predictions(chances, targets, test["patient_id"].to_numpy(), classes)
    return {name: scores[name] for name in SCORES}


def in_both(version: Version) -> tuple[int, int, Metric]:
    """Patients of test, how many of them are in train or val, and the share of the test films that
    are of these.

    One id is one patient unless both lines name a source, and another one.
    """
    test = version.films["test"]
    learned = pd.concat([version.films[split] for split in SPLITS[:2] if split in version.films])
    sources = learned.groupby("patient_id")["source"].agg(set).to_dict()

    def seen(patient: str, source: str) -> bool:
        there = sources.get(patient, set())
        return bool(there and (source == NOT_NAMED or {source, NOT_NAMED} & there))

    shared = np.array([seen(*row) for row in zip(test["patient_id"], test["source"], strict=True)])
    patients = test["patient_id"].to_numpy()
    share = metric(shared.mean(), clustered_wilson(shared, patients))
    return len(set(patients)), len(set(patients[shared])), share

"""What any model said of the films of a dataset folder, in a table like our predictions.csv.

filename,p(normal),p(pneumonia),p(COVID-19)      other columns are not read
rsna-00001.png,0.7,0.2,0.1
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data.dataset_folder import read_about, read_frame
from model.under_test.films import check_complete, check_names, used_films
from model.under_test.model import ModelUnderTest, Outputs
from util.class_names import check_mapping, class_names
from util.metrics.conformal import Validation
from util.model_file import short_hash
from util.report.facts import INTENDED_USE

COLUMN = re.compile(r"p\((.+)\)")
OFF = 0.01  # by how much rounded probabilities may miss 1


def predictions_file(
    path: Path, folder: Path, split: str, mapping: Mapping[str, int] | None
) -> ModelUnderTest:
    """path: a table with a row for each film of the split. Where it has those of val, too,
    thresholds are chosen on these.

    mapping: label -> which of the columns p(...), from 0; None: their names say it. ValueError or
    FileNotFoundError for a table that does not fit.
    """
    about = read_about(folder)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a CSV of filename and p(CLASS)")
    table = read_frame(path, ["filename"])
    columns = [name for name in table if COLUMN.fullmatch(name)]
    if len(columns) < 2:
        found = ", ".join(table.columns)
        raise ValueError(f"{path}: found columns {found}; expected filename and two p(CLASS)")
    names = [COLUMN.fullmatch(name)[1] for name in columns]
    mapping = mapping or _mapping_of(path, names, about["labels"], folder)
    check_mapping(mapping, about["labels"], str(folder))
    if len(class_names(mapping)) != len(names):
        found = f"{len(class_names(mapping))} classes"
        raise ValueError(f"mapping: found {found}; {path} has {len(names)}: {', '.join(names)}")
    check_names(path, table["filename"], folder)
    chances = pd.DataFrame(_probabilities(path, table, columns), index=table["filename"])
    films = used_films(folder, mapping)
    check_complete(path, chances.index, films[split], split)

    def of(films: pd.DataFrame) -> np.ndarray:
        return chances.loc[films["filename"]].to_numpy()

    val = films["val"]
    chosen_on = split != "val" and len(val) > 0 and val["filename"].isin(chances.index).all()
    return ModelUnderTest(
        path=str(path),
        home=path.with_suffix(""),
        checkpoint={
            "mapping": mapping,
            "config": {"name": path.stem, "dataset": str(folder)},
            **dict.fromkeys(("fingerprint", "prior", "temperature")),
        },
        outputs=lambda subject: Outputs(of(subject.images.table)),
        validation=Validation(
            of(val), val["label"].map(mapping).to_numpy(), val["patient_id"].to_numpy()
        )
        if chosen_on
        else None,
        card={
            "Name": path.stem,
            "Architecture": "not known: only its predictions are here",
            "Classes": ", ".join(class_names(mapping)),
            "Training": "not known, nor whether it saw these patients",
            "Intended use": INTENDED_USE,
        },
        record={"Predictions": f"{path} ({short_hash(path)})"},
    )


def _mapping_of(
    path: Path, names: Sequence[str], labels: Sequence[str], folder: Path
) -> dict[str, int]:
    """Of classes that are named after their labels, as `class_names` does."""
    mapping = {}
    for k, name in enumerate(names):
        own = [name] if name in labels else name.split(" + ")
        if not set(own) <= set(labels):
            raise ValueError(
                f"{path}: found a column p({name}); expected a label of {folder}, which are"
                f" {', '.join(labels)}. Say with --mapping which of the columns each label is"
            )
        mapping |= dict.fromkeys(own, k)
    return mapping


def _probabilities(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """(rows, K), each number as it is written; ValueError for a row that does not add up to 1."""
    rows = []
    for name, *texts in table[["filename", *columns]].itertuples(index=False):
        row = [_number(text) for text in texts]
        if wrong := [k for k, p in enumerate(row) if not 0 <= p <= 1]:
            found = f"{columns[wrong[0]]} is '{texts[wrong[0]]}'"
            raise ValueError(f"{path}: {name}: {found}; expected a number from 0 to 1")
        if abs(sum(row) - 1) > OFF:
            raise ValueError(
                f"{path}: {name}: its probabilities add up to {sum(row):.3g}; expected 1. Give one"
                " column p(CLASS) for each class, after the softmax"
            )
        rows.append(row)
    return np.array(rows, float).reshape(-1, len(columns))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

"""out_of_fold.csv: of each image of train and val what the network says that never saw it.

The metadata of the image, fold, truth, and of each class logit(class), over the fold's temperature,
and p(class).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from util.class_names import class_names


def read_out_of_fold(path: Path) -> pd.DataFrame:
    """As it was written, to the last digit. FileNotFoundError or ValueError for another file."""
    if not path.is_file():
        text = f"{path.parent}: no {path.name}; expected the folder of a run whose folds have ended"
        raise FileNotFoundError(f"{text}. See train.py --folds")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        numbers = {name: float for name in table if name.startswith(("logit(", "p("))}
        return table.astype({"fold": int, **numbers})
    except (KeyError, ValueError):
        raise ValueError(
            f"{path}: not as train.py wrote it, perhaps saved by another program; expected a comma"
            " between columns, fold among them, and plain numbers. Remove it and folds.json;"
            " train.py --name NAME --resume writes both again"
        ) from None


def classes_of(table: pd.DataFrame) -> list[str]:
    return [name[2:-1] for name in table if name.startswith("p(") and name.endswith(")")]


def out_of_fold_validation(path: Path, mapping: Mapping[str, int]) -> dict[str, Any] | None:
    """What stands in the place of a checkpoint's `validation` for all folds together, at a
    temperature of 1; None where the file is not there, as of folds whose run was not ended."""
    if not path.is_file():
        return None
    table = read_out_of_fold(path)
    logits = table[[f"logit({name})" for name in class_names(mapping)]]
    targets = table["label"].map(mapping).tolist()
    return {
        "logits": logits.to_numpy(),
        "targets": targets,
        "patients": pd.factorize(table["patient_id"])[0].tolist(),
    }

"""train.py --folds: a run that is several, each without one part of the patients.

experiments/NAME/
  fold-1/ fold-2/ ...        ordinary runs
  out_of_fold.csv folds.json report.html report.md    when the last of them has ended
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from util.model_file import model_file, short_hash

OUT_OF_FOLD = "out_of_fold.csv"


def numbers(fold: str) -> tuple[int, int]:
    """`2/5` -> 2, 5; ValueError for another text."""
    if match := re.fullmatch(r"(\d+)/(\d+)", fold):
        k, number = int(match[1]), int(match[2])
        if 1 <= k <= number >= 2:
            return k, number
    raise ValueError(f"found {fold}; expected one of several, such as 2/5")


def folder_of(fold: str) -> str:
    """`2/5` -> `fold-2`."""
    return f"fold-{numbers(fold)[0]}"


def trained_on(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The splits that a checkpoint of this config was trained on."""
    return ("train", "val") if config.get("fold") or config.get("folds") else ("train",)


def fold_files(path: str | Path) -> list[Path]:
    """Of the folder of a run with folds the best.pth of each, in order; of anything else none."""
    return sorted(
        Path(path).glob("fold-*/best.pth"), key=lambda file: (len(file.parent.name), file)
    )


def weights_of_fold(weights: str | None, fold: str | None) -> str | None:
    """To start from: of a run with as many folds, its network of the same fold; anything else as
    given. ValueError for a run with another number of folds; FileNotFoundError for one that has
    not ended.
    """
    if not (weights and fold and fold_files(weights)):
        return weights
    ended, (_, number) = len(read_ended(Path(weights))["per_fold"]), numbers(fold)
    if ended != number:
        found = f"{weights}: found {ended} folds; expected {number}, as this run has"
        raise ValueError(f"{found}. Give that number, or start without --weights")
    return str(Path(weights, folder_of(fold), "best.pth"))


def read_ended(run: Path) -> dict[str, Any]:
    """folds.json of a run; FileNotFoundError where its folds have not ended."""
    path = run / "folds.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{run}: no folds.json in it; expected the folder of a run of train.py --folds that has"
            f" ended. If it was stopped, go on with train.py --name {run.resolve().name} --resume"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def network_path(path: str | Path) -> Path:
    """The folder of a run with folds as it is; anything else as in `model_file`."""
    return Path(path) if fold_files(path) else model_file(path)


def name_of(path: Path) -> str:
    """`best.pth@1a2b3c4d`, of a `network_path`."""
    return f"{path.resolve().name}@{short_hash(*fold_files(path) or [path])}"

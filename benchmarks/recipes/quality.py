"""Time to quality: minutes from the start of a training until it validates as well as asked.

Each recipe trains in a process of its own, one after the other on the same machine, and is stopped
there. One whose epochs end before that has no minutes; what it spent and its best score then say
how far it came.
"""

import argparse
import sys
from collections.abc import Sequence
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.measure import measure
from benchmarks.recipes.variants import check_known, command
from benchmarks.table import Row

SCORE = "val_macro_auroc"
REST = 0.5  # seconds between two looks at the history


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe and seed. `of first`: its minutes over what the first recipe spent with
    this seed, which is too little where that one never got there."""
    check_known(args.recipes)
    rows = []
    with TemporaryDirectory() as scratch:
        for seed in args.seeds:
            of_seed = []
            for recipe, epochs in zip(args.recipes, args.epochs, strict=True):
                folder = Path(scratch, f"{recipe}-{seed}")
                words = command(recipe, folder, seed, args.dataset.resolve(), args.size, epochs)
                trained = train_until(words, folder, args.score)
                of_seed.append({"recipe": recipe, "seed": seed, **trained})
                said = ", ".join(f"{name} {value:.3g}" for name, value in trained.items())
                print(f"{recipe}, seed {seed}: {said}", file=sys.stderr)  # hours before the table
            first = of_seed[0]["spent"]
            rows += [row | {"of first": row["minutes"] / first} for row in of_seed]
    return rows


def train_until(words: Sequence[object], folder: Path, score: float) -> Row:
    """Trains until validation has a score as high as that."""
    history = folder / "history.csv"

    def scores() -> list[float]:
        return list(pd.read_csv(history)[SCORE]) if history.is_file() else []

    taken = measure(*words, interval=REST, over=lambda: max(scores(), default=0) >= score)
    spent, found = taken.seconds / 60, scores()
    return {
        "minutes": spent if max(found) >= score else nan,
        "spent": spent,
        "epochs": len(found),
        "best AUROC": max(found),
    }

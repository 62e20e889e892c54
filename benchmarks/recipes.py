"""What recipes of training score on validation and test, from random weights, over seeds.

A run is DIR/RECIPE-SEED. One that is there is not trained again, one that was stopped goes on. A
recipe is settled with --folds, which validates on each image of train and validation once: on the
first third with the first seed, and so on.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd

import config
from benchmarks.folds import make_folds
from benchmarks.measure import measure
from benchmarks.table import Row
from util.flags import Parser, add_config
from util.runs import FREE

OURS = (
    *("--backbone-weights", "none", "--lr", "1e-3", "--batch-size", 32, "--warmup-epochs", 4),
    *("--augmentation-warmup-epochs", 25),
)
# Flags of train.py, beside these.
VARIANTS = {
    "ours": (),
    "balanced": ("--sampling", "balanced"),
    "balanced-source": ("--sampling", "balanced_source", "--patient-cap", 3),
    "effective": ("--loss-weights", "effective"),
    "no-weights": ("--loss-weights", "none"),
    "no-smoothing": ("--label-smoothing", 0),
    "no-warmup": ("--warmup-epochs", 0),
    "batch-16": ("--batch-size", 16, "--average-decay", 0.995),
    "batch-64": ("--batch-size", 64, "--average-decay", 0.98),
    "not-averaged": ("--average-decay", "none"),
    "float32": ("--precision", "float32"),
    "full-augmentation": ("--augmentation-warmup-epochs", 0),
    "half-augmentation": (
        *("--augmentation-warmup-epochs", 0, "--rotation", 5, "--shift", 0.04),
        *("--scale", 0.95, 1.07, "--jitter", 0.15),
    ),
    "clipped": ("--clip-norm", 1),
}

# What validation says, as the mean of the LAST epochs: the best one is a matter of luck. A rival
# tells no loss.
VALIDATION = {"F1": "val_macro_f1", "AUROC": "val_macro_auroc", "loss": "val_loss"}
LAST = 5

RIVALS = ("original", "plain", "plain-zero-init")  # of benchmarks.rivals


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe: means over its runs, and standard deviations between them."""
    if unknown := set(args.recipes) - {*VARIANTS, *RIVALS}:
        known = ", ".join([*RIVALS, *VARIANTS])
        raise ValueError(f"--recipes: found {min(unknown)}; expected some of {known}")
    runs = [(seed, args.ckpts_dir, args.dataset) for seed in args.seeds]
    if args.folds:
        folds = make_folds(args.dataset, args.ckpts_dir / "folds")
        parts = zip(args.seeds, folds, strict=False)  # fewer seeds: a first look
        runs = [(seed, args.ckpts_dir / fold.name, fold) for seed, fold in parts]
    rows = []
    for recipe in args.recipes:
        scores = defaultdict(list)
        for seed, home, dataset in runs:
            folder = home / f"{recipe}-{seed}"
            train(recipe, folder, seed, dataset, args)
            history = pd.read_csv(folder / "history.csv")
            for name, column in VALIDATION.items():
                told = history[column].iloc[-LAST:].mean() if column in history else nan
                scores[name].append(told)
            if not args.folds:
                found = test_metrics(folder, dataset)
                scores["test F1"].append(found["macro_f1"]["value"])
                scores["test AUROC"].append(found["macro_auroc"]["value"])
        row = {"recipe": recipe, "runs": len(runs)}
        for name, values in scores.items():
            row |= {name: float(np.mean(values)), f"+- {name}": spread(values)}
        rows.append(row)
    return rows


def train(recipe: str, folder: Path, seed: int, dataset: Path, args: argparse.Namespace) -> None:
    """Unless the run is at its end. ValueError if the one that is there is of another recipe."""
    history = folder / "history.csv"
    done = history.is_file() and len(pd.read_csv(history)) == args.epochs
    if recipe not in VARIANTS:
        words = ("-m", "benchmarks.rivals", recipe, dataset, folder, "--seed", seed)
        words += ("--size", args.size, "--epochs", args.epochs)
    else:
        words = ("train.py", "--dataset", dataset, "--epochs", args.epochs)
        words += ("--width", args.size, "--height", args.size, "--random-seed", seed)
        words += ("--ckpts-dir", folder.parent, "--name", folder.name)
        words += OURS + VARIANTS[recipe]
        if (folder / "config.json").is_file():
            check(folder / "config.json", words[1:])
            words = ("train.py", "--ckpts-dir", folder.parent, "--name", folder.name, "--resume")
    if not done:
        measure(*words)


def check(file: Path, words: Sequence[object]) -> None:
    """ValueError unless the settings of a run, in `file`, are those that the flags would give."""
    parser = Parser(prog="train.py")
    add_config(parser, config)
    asked = vars(parser.parse_args([str(word) for word in words]))
    saved = json.loads(file.read_text())
    for name in sorted(asked.keys() - FREE - {"given"}):
        wanted = json.loads(json.dumps(asked[name]))  # a tuple is a list there
        if wanted != "auto" and saved.get(name) != wanted:
            raise ValueError(
                f"{file}: {name} is {saved.get(name)}; expected {wanted}. The run is of another"
                " recipe: move it away, or give another --ckpts-dir"
            )


def test_metrics(folder: Path, dataset: Path) -> dict:
    """Of the checkpoint that validation chose."""
    out = folder / "evaluation-test"
    if not (out / "metrics.json").is_file():
        measure("evaluate.py", folder / "best.pth", "--dataset", dataset, "--out", out)
    return json.loads((out / "metrics.json").read_text())


def spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else nan

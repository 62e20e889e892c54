"""Macro F1 on validation and test of recipes of training, from random weights, over seeds.

A run is DIR/RECIPE-SEED. One that is there is not trained again, one that was stopped goes on.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, stdev

import pandas as pd

from benchmarks.measure import measure
from benchmarks.table import Row

OURS = ("--backbone-weights", "none", "--lr", "1e-3", "--batch-size", 32, "--warmup-epochs", 4)
# Flags of train.py, beside these.
VARIANTS = {
    "ours": (),
    "balanced": ("--sampling", "balanced"),
    "balanced-source": ("--sampling", "balanced_source", "--patient-cap", 3),
    "effective": ("--loss-weights", "effective"),
    "no-weights": ("--loss-weights", "none"),
    "no-smoothing": ("--label-smoothing", 0),
    "no-warmup": ("--warmup-epochs", 0),
    "not-averaged": ("--average-decay", "none"),
    "float32": ("--precision", "float32"),
    "half-augmentation": (
        *("--rotation", 5, "--shift", 0.04, "--scale", 0.95, 1.07, "--jitter", 0.15),
    ),
    "clipped": ("--clip-norm", 1),
}

RIVALS = ("original", "plain", "plain-zero-init")  # of benchmarks.rivals


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe: mean over the seeds, and standard deviation between them."""
    if unknown := set(args.recipes) - {*VARIANTS, *RIVALS}:
        known = ", ".join([*RIVALS, *VARIANTS])
        raise ValueError(f"--recipes: found {min(unknown)}; expected some of {known}")
    rows = []
    for recipe in args.recipes:
        runs = [Path(args.ckpts_dir, f"{recipe}-{seed}") for seed in args.seeds]
        for folder, seed in zip(runs, args.seeds, strict=True):
            train(recipe, folder, seed, args)
        validation = [best_validation(folder) for folder in runs]
        test = [test_macro_f1(folder, args.dataset) for folder in runs]
        rows.append(
            {
                "recipe": recipe,
                "seeds": len(runs),
                "validation": mean(validation),
                "deviation": spread(validation),
                "test": mean(test),
                "deviation of test": spread(test),
            }
        )
    return rows


def train(recipe: str, folder: Path, seed: int, args: argparse.Namespace) -> None:
    """Unless the run is at its end."""
    history = folder / "history.csv"
    if history.is_file() and len(pd.read_csv(history)) == args.epochs:
        return
    if recipe not in VARIANTS:
        words = ("-m", "benchmarks.rivals", recipe, args.dataset, folder, "--seed", seed)
        measure(*words, "--size", args.size, "--epochs", args.epochs)
    elif (folder / "last.pth").is_file():
        measure("train.py", "--ckpts-dir", folder.parent, "--name", folder.name, "--resume")
    else:
        words = ("train.py", "--dataset", args.dataset, "--epochs", args.epochs)
        words += ("--width", args.size, "--height", args.size, "--random-seed", seed)
        words += ("--ckpts-dir", folder.parent, "--name", folder.name)
        measure(*words, *OURS, *VARIANTS[recipe])


def best_validation(folder: Path) -> float:
    return pd.read_csv(folder / "history.csv")["val_macro_f1"].max()


def test_macro_f1(folder: Path, dataset: Path) -> float:
    """Of the checkpoint that validation chose."""
    out = folder / "evaluation-test"
    if not (out / "metrics.json").is_file():
        measure("evaluate.py", folder / "best.pth", "--dataset", dataset, "--out", out)
    return json.loads((out / "metrics.json").read_text())["macro_f1"]["value"]


def spread(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else float("nan")

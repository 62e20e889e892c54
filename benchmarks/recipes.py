"""What recipes of training score on validation and test, from random weights, over seeds.

A run is DIR/RECIPE-SEED. One that is there is not trained again, one that was stopped goes on. A
recipe is settled on validation, with --no-test: first by the loss, which differs less between seeds
than macro F1 does.
"""

import argparse
import json
from collections.abc import Sequence
from math import nan
from pathlib import Path
from statistics import mean, stdev

import pandas as pd

import config
from benchmarks.measure import measure
from benchmarks.table import Row
from util.flags import Parser, add_config
from util.runs import FREE, ONCE

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
    "batch-16": ("--batch-size", 16, "--average-decay", 0.995),
    "batch-16-slow": ("--batch-size", 16, "--average-decay", 0.995, "--lr", "5e-4"),
    "batch-64": ("--batch-size", 64, "--average-decay", 0.98),
    "batch-64-fast": ("--batch-size", 64, "--average-decay", 0.98, "--lr", "2e-3"),
    "not-averaged": ("--average-decay", "none"),
    "float32": ("--precision", "float32"),
    "half-augmentation": (
        *("--rotation", 5, "--shift", 0.04, "--scale", 0.95, 1.07, "--jitter", 0.15),
    ),
    "clipped": ("--clip-norm", 1),
}

RIVALS = ("original", "plain", "plain-zero-init")  # of benchmarks.rivals


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe: means over the seeds, and standard deviations between them.

    Validation has the highest macro F1 of a run, and the loss of its last epoch, which a rival's
    history does not have.
    """
    if unknown := set(args.recipes) - {*VARIANTS, *RIVALS}:
        known = ", ".join([*RIVALS, *VARIANTS])
        raise ValueError(f"--recipes: found {min(unknown)}; expected some of {known}")
    rows = []
    for recipe in args.recipes:
        runs = [Path(args.ckpts_dir, f"{recipe}-{seed}") for seed in args.seeds]
        for folder, seed in zip(runs, args.seeds, strict=True):
            train(recipe, folder, seed, args)
        histories = [pd.read_csv(folder / "history.csv") for folder in runs]
        scores = {"validation F1": [history["val_macro_f1"].max() for history in histories]}
        if recipe in VARIANTS:
            scores["loss"] = [history["val_loss"].iloc[-1] for history in histories]
        else:
            scores["loss"] = [nan]
        if not args.no_test:
            found = [test_metrics(folder, args.dataset) for folder in runs]
            scores["test F1"] = [metrics["macro_f1"]["value"] for metrics in found]
            scores["test AUROC"] = [metrics["macro_auroc"]["value"] for metrics in found]
        row = {"recipe": recipe, "seeds": len(runs)}
        for name, values in scores.items():
            row |= {name: mean(values), f"+- {name}": spread(values)}
        rows.append(row)
    return rows


def train(recipe: str, folder: Path, seed: int, args: argparse.Namespace) -> None:
    """Unless the run is at its end. ValueError if the one that is there is of another recipe."""
    history = folder / "history.csv"
    done = history.is_file() and len(pd.read_csv(history)) == args.epochs
    if recipe not in VARIANTS:
        words = ("-m", "benchmarks.rivals", recipe, args.dataset, folder, "--seed", seed)
        words += ("--size", args.size, "--epochs", args.epochs)
    else:
        words = ("train.py", "--dataset", args.dataset, "--epochs", args.epochs)
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
    saved = ONCE | json.loads(file.read_text())
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
    return stdev(values) if len(values) > 1 else nan

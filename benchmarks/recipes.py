"""What recipes of training score on validation and test, from random weights, over seeds.

A run is DIR/RECIPE-SEED. One that was stopped goes on, and one that has ended gets a line in the
table of results, with which it is not made again. A recipe is settled with --folds, which validates
on each image of train and validation once: on the first third with the first seed, and so on.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import nan
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd

import config
from benchmarks import ledger
from benchmarks.folds import make_folds
from benchmarks.measure import measure
from benchmarks.table import Row
from data.folder import read_about
from util.device import pick_device, pick_precision, precision_name
from util.flags import Parser, add_config
from util.runs import FREE
from util.versions import commit, machine, versions

OURS = (
    *("--backbone-weights", "none", "--optimizer", "muon", "--lr", "3e-3"),
    *("--batch-size", 32, "--warmup-epochs", 4),
)
ADAMW = "--optimizer", "adamw", "--lr", "1e-3"
# Flags of train.py, beside these.
VARIANTS = {
    "ours": (),
    "adamw": ADAMW,
    "adamw-growing": (*ADAMW, "--augmentation-warmup-epochs", 25),
    "growing": ("--augmentation-warmup-epochs", 25),
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
    "half-augmentation": (
        *("--rotation", 5, "--shift", 0.04, "--scale", 0.95, 1.07, "--jitter", 0.15),
    ),
    "clipped": ("--clip-norm", 1),
}

# What validation says, as the mean of the LAST epochs: the best one is a matter of luck. A rival
# tells no loss.
VALIDATION = {"F1": "val_macro_f1", "AUROC": "val_macro_auroc", "loss": "val_loss"}
LAST = 5

WRITING = Lock()  # held by whoever adds a line to the table of results
REST = 5.0  # seconds from one look at a training's memory to the next, which nobody asks for here
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
    with ThreadPoolExecutor(args.jobs) as pool:
        found = {
            recipe: [pool.submit(scores_of, recipe, *one, args) for one in runs]
            for recipe in args.recipes
        }
    for recipe, runs_of_it in found.items():
        scores = [one.result() for one in runs_of_it]
        row = {"recipe": recipe, "runs": len(runs)}
        for name in ledger.SCORES[: len(VALIDATION) if args.folds else None]:
            values = [score[name] for score in scores]
            row |= {name: float(np.mean(values)), f"+- {name}": spread(values)}
        rows.append(row)
    return rows


def scores_of(
    recipe: str, seed: int, home: Path, dataset: Path, args: argparse.Namespace
) -> dict[str, float]:
    """As in the table of results, to which a run that was not there is added."""
    job = {
        "recipe": recipe,
        "seed": seed,
        "data": read_about(dataset)["fingerprint"][:16],
        "size": args.size,
        "epochs": args.epochs,
        "settings": digest(recipe),
    }
    if (scores := ledger.find(args.results, job)) is None:
        folder = home / f"{recipe}-{seed}"
        train(recipe, folder, seed, dataset, args)
        last = pd.read_csv(folder / "history.csv").iloc[-LAST:]
        scores = {name: last[c].mean() if c in last else nan for name, c in VALIDATION.items()}
        if not args.folds:
            found = test_metrics(folder, dataset)
            scores["test F1"] = found["macro_f1"]["value"]
            scores["test AUROC"] = found["macro_auroc"]["value"]
        with WRITING:
            ledger.add(args.results, job, scores, made_with(recipe))
    return scores


def digest(recipe: str) -> str:
    """Eight letters for all of a recipe's settings: those of another recipe have others."""
    if recipe in VARIANTS:
        settings = asked(OURS + VARIANTS[recipe])
    else:
        from benchmarks.rivals import RECIPES  # seconds of imports, so only where they are due

        settings = RECIPES[recipe]
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]


def made_with(recipe: str) -> dict[str, str]:
    device = pick_device("auto")
    precision = asked(VARIANTS.get(recipe, ()))["precision"]
    return {
        "precision": precision_name(pick_precision(precision, device, scaled=True)),
        "machine": machine(device),
        "torch": versions()["torch"],
        "commit": commit() or "unknown",
    }


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
        measure(*words, interval=REST)


def check(file: Path, words: Sequence[object]) -> None:
    """ValueError unless the settings of a run, in `file`, are those that the flags would give."""
    saved = json.loads(file.read_text())
    for name, value in asked(words).items():
        wanted = json.loads(json.dumps(value))  # a tuple is a list there
        if wanted != "auto" and saved.get(name) != wanted:
            raise ValueError(
                f"{file}: {name} is {saved.get(name)}; expected {wanted}. The run is of another"
                " recipe: move it away, or give another --ckpts-dir"
            )


def asked(words: Sequence[object]) -> dict[str, object]:
    """The settings that flags of train.py give, but those that change no result, in order."""
    parser = Parser(prog="train.py")
    add_config(parser, config)
    settings = vars(parser.parse_args([str(word) for word in words]))
    return {name: settings[name] for name in sorted(settings.keys() - FREE - {"given"})}


def test_metrics(folder: Path, dataset: Path) -> dict:
    """Of the checkpoint that validation chose."""
    out = folder / "evaluation-test"
    if not (out / "metrics.json").is_file():
        words = ("evaluate.py", folder / "best.pth", "--dataset", dataset, "--out", out)
        measure(*words, interval=REST)
    return json.loads((out / "metrics.json").read_text())


def spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else nan

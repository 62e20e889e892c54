"""Scores of training recipes on validation and test, from random weights, over seeds.

A run is DIR/RECIPE-SEED. A run that was stopped goes on; a run that has ended gets a line in the
table of results and is not repeated as long as the line is there. Data and settings identify a
line; it also names machine and program, and if the lines of a recipe differ in these, the output
lists all of them. Compare recipes with --folds, which validates on each image of train and
validation once: on the first third with the first seed, and so on.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import nan
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

import numpy as np
import pandas as pd

from benchmarks.measure import measure
from benchmarks.recipes import ledger
from benchmarks.recipes.folds import make_folds
from benchmarks.recipes.variants import VARIANTS, asked, check_known, command, digest, flags
from benchmarks.table import Row
from data.dataset_folder import read_about
from util.checkpoint import load_checkpoint
from util.device import pick_device, pick_precision, precision_name
from util.files import write_json
from util.versions import commit, machine, versions

# Validation scores, as means of the LAST epochs, since the best epoch is a matter of luck. The
# rivals record no loss.
VALIDATION = {"F1": "val_macro_f1", "AUROC": "val_macro_auroc", "loss": "val_loss"}
LAST = 5

TABLE = Lock()  # held while the table of results is read or written
Job, Done = TypeVar("Job"), TypeVar("Done")
REST = 5.0  # seconds between two readings of a training's memory, which is not used here


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe: means over its runs, and standard deviations between them."""
    check_known(args.recipes)
    runs = [(seed, args.ckpts_dir, args.dataset) for seed in args.seeds]
    if args.folds:
        folds = make_folds(args.dataset, args.ckpts_dir / "folds")
        parts = zip(args.seeds, folds, strict=False)  # fewer seeds: only the first folds
        runs = [(seed, args.ckpts_dir / fold.name, fold) for seed, fold in parts]
    jobs = [(recipe, *one) for recipe in args.recipes for one in runs]
    found = at_once(lambda job: line_of(*job, args), jobs, args.jobs)
    rows = []
    for recipe in args.recipes:
        scores, how = zip(
            *(line for job, line in zip(jobs, found, strict=True) if job[0] == recipe), strict=True
        )
        row = {"recipe": recipe, "runs": len(runs)}
        for name in ledger.SCORES[: len(VALIDATION) if args.folds else None]:
            values = [score[name] for score in scores]
            row |= {name: float(np.mean(values)), f"+- {name}": spread(values)}
        rows.append(row | {"on": "; ".join(sorted(set(how)))})
    return rows


def at_once(do: Callable[[Job], Done], jobs: Sequence[Job], number: int) -> list[Done]:
    """The result of each job, `number` of them at a time. After a failure no other job begins."""
    over = Event()

    def unless_over(job: Job) -> Done | None:
        if over.is_set():
            return None  # never used: the failure of an earlier job is raised
        try:
            return do(job)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(number) as pool:
        try:
            return list(pool.map(unless_over, jobs))
        finally:
            over.set()  # Ctrl-C, too


def line_of(
    recipe: str, seed: int, home: Path, dataset: Path, args: argparse.Namespace
) -> tuple[dict[str, float], str]:
    """The scores of a run and what it was made with, from the table of results; a run that is not
    there is trained and added."""
    job = {
        "recipe": recipe,
        "seed": seed,
        "data": read_about(dataset)["fingerprint"][:16],
        "size": args.size,
        "epochs": args.epochs,
        "settings": digest(recipe),
    }
    with TABLE:
        line = ledger.find(args.results, job)
    if line is None:
        folder = home / f"{recipe}-{seed}"
        train(recipe, folder, seed, dataset, args)
        last = pd.read_csv(folder / "history.csv").iloc[-LAST:]
        scores = {name: last[c].mean() if c in last else nan for name, c in VALIDATION.items()}
        if not args.folds:
            found = test_metrics(folder, dataset)
            scores["test F1"] = found["macro_f1"]["value"]
            scores["test AUROC"] = found["macro_auroc"]["value"]
        how = json.loads(beside(folder).read_text())
        with TABLE:
            ledger.add(args.results, job, scores, how)
        line = scores, how
    scores, how = line
    return scores, f"{how['machine']}, {how['precision']}, {how['commit']}"


def beside(folder: Path) -> Path:
    """The file beside a run's folder that says what it was made with."""
    return folder.with_name(f"{folder.name}.json")


def made_with(recipe: str) -> dict[str, str]:
    """What a run of the recipe would be made with if it began now."""
    device, of_train = pick_device("auto"), recipe in VARIANTS
    precision = asked(flags(recipe))["precision"] if of_train else "auto"
    return {
        "precision": precision_name(pick_precision(precision, device, scaled=of_train)),
        "machine": machine(str(device)),
        "torch": versions()["torch"],
        "commit": commit() or "unknown",
    }


def train(recipe: str, folder: Path, seed: int, dataset: Path, args: argparse.Namespace) -> None:
    """Trains unless the run has ended. ValueError if the folder holds a run of another recipe."""
    check_data(folder / "best.pth", dataset, args.size)
    if not beside(folder).is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_json(beside(folder), made_with(recipe))
    history = folder / "history.csv"
    done = history.is_file() and len(pd.read_csv(history)) == args.epochs
    if done:  # perhaps without what train.py adds at the end
        done = load_checkpoint(folder / "best.pth")["validation"] is not None
    words = command(recipe, folder, seed, dataset, args.size, args.epochs)
    if recipe in VARIANTS and (folder / "config.json").is_file():
        check(folder / "config.json", words[1:])
        words = ("train.py", "--ckpts-dir", folder.parent, "--name", folder.name, "--resume")
    if not done:
        measure(*words, interval=REST)


def check_data(best: Path, dataset: Path, size: int) -> None:
    """ValueError if the folder holds a run of another data set or of another image size."""
    if not best.is_file():
        return
    checkpoint, wanted = load_checkpoint(best), read_about(dataset)["fingerprint"]
    found = (checkpoint["fingerprint"], *checkpoint["input"]["size"])
    if found != (wanted, size, size):
        raise ValueError(
            f"{best}: of data {found[0][:16]} at {found[2]}x{found[1]} pixels; expected"
            f" {wanted[:16]} at {size}x{size}. Move it away, or give another --ckpts-dir"
        )


def check(file: Path, words: Sequence[object]) -> None:
    """ValueError unless the settings of a run, in `file`, equal those that the flags give."""
    saved = json.loads(file.read_text())
    for name, value in asked(words).items():
        wanted = json.loads(json.dumps(value))  # a tuple is a list in JSON
        if wanted != "auto" and saved.get(name) != wanted:
            raise ValueError(
                f"{file}: {name} is {saved.get(name)}; expected {wanted}. The run is of another"
                " recipe: move it away, or give another --ckpts-dir"
            )


def test_metrics(folder: Path, dataset: Path) -> dict:
    """The test metrics of the checkpoint that validation chose."""
    out = folder / "evaluation-test"
    if not (out / "metrics.json").is_file():
        words = ("evaluate.py", folder / "best.pth", "--dataset", dataset, "--out", out)
        measure(*words, interval=REST)
    return json.loads((out / "metrics.json").read_text())


def spread(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else nan

"""What an epoch of train.py costs, against as many steps on one batch in memory."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.measure import Measured, measure
from benchmarks.sources import STORED, given_sources, make_dataset
from benchmarks.speed.pairs import Rates, rates_of_trials, rows
from benchmarks.table import Row
from data.dataset_folder import read_about

MEMORY, TRAIN = "steps in memory", "train.py"
EPOCHS = 2  # that count in each round, after one that does not


def run(args: argparse.Namespace) -> list[Row]:
    """By turns. The rate of train.py is its own images_per_second: reading, steps and logging."""
    taken: dict[str, list[Measured]] = {MEMORY: [], TRAIN: []}
    rates: Rates = {TRAIN: []}
    with TemporaryDirectory() as scratch, given_sources(args, Path(scratch)) as folders:
        dataset = Path(scratch, "set")
        make_dataset(dataset, max(STORED, args.size), folders)
        mapping = [f"{label}={k}" for k, label in enumerate(read_about(dataset)["labels"])]
        words = ("--dataset", dataset, "--mapping", *mapping, "--loss-weights", "none")
        words += ("--backbone-weights", "none", "--width", args.size, "--height", args.size)
        words += ("--batch-size", args.batch_size, "--n-threads", args.workers)
        words += ("--epochs", 1 + EPOCHS, "--collapse-patience", "none", "--ckpts-dir", scratch)
        for k in range(args.rounds):
            trial = ("steps", args.size, args.batch_size, 0, dataset, EPOCHS)
            taken[MEMORY].append(measure("-m", "benchmarks.speed.trial", *trial))
            taken[TRAIN].append(measure("train.py", *words, "--name", f"run-{k}"))
            history = pd.read_csv(Path(scratch, f"run-{k}", "history.csv"))
            rates[TRAIN].append(history["images_per_second"].iloc[1:].median())
    return rows("epoch", taken, rates_of_trials({MEMORY: taken[MEMORY]}) | rates)

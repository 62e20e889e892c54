"""evaluate.py with its whole report, against one forward pass over the same split."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.sources import given_sources, make_dataset
from benchmarks.speed.pairs import commands_by_turns, rates_of_commands, rates_of_trials, rows
from benchmarks.speed.predict import write_checkpoint
from benchmarks.table import Row
from data.dataset_folder import read_about

PASS, REPORT, START = "one forward pass", "evaluate.py", "start"
PASSES = 3  # that count in each round, after one that does not


def run(args: argparse.Namespace) -> list[Row]:
    """A forward pass over decoded images; a report; and the report without the time in which Python
    imports its modules."""
    with TemporaryDirectory() as scratch, given_sources(args, Path(scratch)) as folders:
        dataset, checkpoint = Path(scratch, "set"), Path(scratch, "best.pth")
        make_dataset(dataset, args.size, folders)
        write_checkpoint(checkpoint, args.size, read_about(dataset)["labels"])
        words = (args.size, args.batch_size, args.workers, dataset, PASSES)
        report = ("--dataset", dataset, "--batch-size", args.batch_size)
        commands = {
            PASS: ("-m", "benchmarks.speed.trial", "forward", *words),
            START: ("-c", "import evaluate"),
            REPORT: ("evaluate.py", checkpoint, *report),
        }
        taken = commands_by_turns(commands, args.rounds)
        images = len(pd.read_csv(dataset / "test_metadata.csv"))
    whole = rates_of_commands({REPORT: taken[REPORT]}, images)
    rates = rates_of_trials({PASS: taken[PASS]}) | whole
    rates[f"{REPORT} less its start"] = [
        images / (run.seconds - start.seconds)
        for run, start in zip(taken[REPORT], taken[START], strict=True)
    ]
    return rows("report", taken | {f"{REPORT} less its start": taken[REPORT]}, rates)

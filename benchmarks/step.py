"""Images a second of a training step on a batch in memory: train.py's, and the plain recipe's."""

import argparse
from pathlib import Path

from benchmarks.pairs import by_turns, rates_of_trials, rows
from benchmarks.table import Row

STEPS = 4


def run(args: argparse.Namespace) -> list[Row]:
    trials = {"plain": ("plain-step", Path(), STEPS), "ours": ("our-step", Path(), STEPS)}
    taken = by_turns(trials, args.rounds, args.size, args.batch_size, workers=0)
    return rows("step", taken, rates_of_trials(taken))

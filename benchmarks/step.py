"""Images a second of a training step on a batch in memory: train.py's, and the plain recipe's.

In float32, too, which train.py takes where the processor has no bfloat16 of its own.
"""

import argparse
from pathlib import Path

from benchmarks.pairs import by_turns, rates_of_trials, rows
from benchmarks.table import Row

STEPS = 4


def run(args: argparse.Namespace) -> list[Row]:
    kinds = {"plain": "plain-step", "ours": "our-step", "ours in float32": "our-float32-step"}
    trials = {name: (kind, Path(), STEPS) for name, kind in kinds.items()}
    taken = by_turns(trials, args.rounds, args.size, args.batch_size, workers=0)
    return rows("step", taken, rates_of_trials(taken))

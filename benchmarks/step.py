"""Images a second of a training step on a batch in memory: train.py's, and the plain recipe's.

In float32, too, which train.py takes on a CPU without bfloat16 of its own.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.pairs import by_turns, rates_of_trials, rows
from benchmarks.table import Row
from util.device import pick_device, pick_precision

STEPS = 4


def run(args: argparse.Namespace) -> list[Row]:
    kinds = {"plain": "plain-step", "ours": "our-step"}
    if pick_precision("auto", pick_device("auto"), scaled=True) != torch.float32:
        kinds["ours in float32"] = "our-float32-step"
    trials = {name: (kind, Path(), STEPS) for name, kind in kinds.items()}
    taken = by_turns(trials, args.rounds, args.size, args.batch_size, workers=0)
    return rows("step", taken, rates_of_trials(taken))

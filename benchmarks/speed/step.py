"""Images per second of a training step on a batch in memory: of train.py and of the plain recipe.

The step of train.py is also measured with Muon, in float32 (which it uses on a CPU without native
bfloat16) and, on a GPU, compiled.
"""

import argparse
import json
from pathlib import Path

import torch

from benchmarks.speed.pairs import by_turns, rates_of_trials, rows
from benchmarks.table import Row
from util.device import pick_device, pick_precision

STEPS = 4


def run(args: argparse.Namespace) -> list[Row]:
    kinds = {"plain": "plain-step", "ours": "our-step"}
    kinds["ours with Muon"] = "our-muon-step"
    device = pick_device("auto")
    if pick_precision("auto", device, scaled=True) != torch.float32:
        kinds["ours in float32"] = "our-float32-step"
    if device.type == "cuda":
        kinds["ours, compiled"] = "our-compiled-step"
    trials = {name: (kind, Path(), STEPS) for name, kind in kinds.items()}
    taken = by_turns(trials, args.rounds, args.size, args.batch_size, workers=0)
    table = rows("step", taken, rates_of_trials(taken))
    if device.type == "cuda":
        for row in table:
            held = [json.loads(run.said)["gpu"] for run in taken[row["recipe"]]]
            row["peak GPU MiB"] = max(held)
    return table

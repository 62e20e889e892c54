"""Training images per second, as train.py loads them and as the plain recipe does."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.sources import STORED, given_sources, make_dataset
from benchmarks.speed import plain
from benchmarks.speed.pairs import by_turns, rates_of_trials, rows
from benchmarks.table import Row

PLAIN_IMAGES = 200  # that the plain recipe reads per epoch; its rate does not depend on the number
EPOCHS = 3


def run(args: argparse.Namespace) -> list[Row]:
    """Both by turns, from files that the system already has in memory."""
    with TemporaryDirectory() as scratch, given_sources(args, Path(scratch)) as folders:
        full, dataset = Path(scratch, "full"), Path(scratch, "set")
        plain.copy_images(folders, full, PLAIN_IMAGES)
        make_dataset(dataset, max(STORED, args.size), folders)
        trials = {
            "plain": ("plain-loader", full, 1),
            "ours": ("our-loader", dataset, EPOCHS),
        }
        taken = by_turns(trials, args.rounds, args.size, args.batch_size, args.workers)
    return rows("loader", taken, rates_of_trials(taken))

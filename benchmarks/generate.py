"""generate_dataset.py against the plain recipe: the same files, turn and turn about."""

import argparse
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measure import measure, source_flags
from benchmarks.sources import given_sources
from benchmarks.table import Row
from data.sources import SOURCES


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe; images are the rows of the sources that are read, kept or not."""
    with TemporaryDirectory() as scratch, given_sources(args, Path(scratch)) as folders:
        images = sum(len(SOURCES[name].read(folder)[0]) for name, folder in folders.items())
        commands = {
            "plain": ("-m", "benchmarks.plain"),
            "ours": ("generate_dataset.py", "--workers", args.workers),
        }
        taken = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, words in commands.items():
                with TemporaryDirectory(dir=scratch) as out:
                    flags = source_flags(folders)
                    taken[name].append(measure(*words, Path(out) / "set", *flags))
    return [
        {
            "benchmark": "generate",
            "recipe": name,
            "images/s": images / median(run.seconds for run in runs),
            "times the first": median(
                plain.seconds / run.seconds for plain, run in zip(taken["plain"], runs, strict=True)
            ),
            "peak MiB": max(run.peak for run in runs),
        }
        for name, runs in taken.items()
    ]

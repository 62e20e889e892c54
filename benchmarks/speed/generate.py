"""generate_dataset.py against the plain recipe: the same files, by turns."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import measure, source_flags
from benchmarks.sources import given_sources
from benchmarks.speed.pairs import rates_of_commands, rows
from benchmarks.table import Row
from data.sources import SOURCES


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe; an image is a row of the sources that is read, kept or not."""
    with TemporaryDirectory() as scratch, given_sources(args, Path(scratch)) as folders:
        images = sum(len(SOURCES[name].read(folder)[0]) for name, folder in folders.items())
        flags = source_flags(folders)
        commands = {
            "plain": ("-m", "benchmarks.speed.plain"),
            "ours": ("generate_dataset.py", "--workers", args.workers),
        }
        taken = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, words in commands.items():
                with TemporaryDirectory(dir=scratch) as out:
                    taken[name].append(measure(*words, Path(out) / "set", *flags))
    return rows("generate", taken, rates_of_commands(taken, images))

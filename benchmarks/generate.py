"""generate_dataset.py against the plain recipe: the same files, turn and turn about."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measure import measure, source_flags
from benchmarks.table import Row
from data.sample import write_sample
from data.sources import SOURCES


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each recipe; images are the rows of the sources that are read, kept or not.

    Without a source, those that --sample draws.
    """
    folders = {name: getattr(args, name.replace("-", "_")) for name in SOURCES}
    folders = {name: Path(folder) for name, folder in folders.items() if folder}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        folders = folders or write_sample(scratch / "raw")
        records = [r for name, folder in folders.items() for r in SOURCES[name].read(folder)[0]]
        for record in records:
            record.path.read_bytes()  # from now on in memory, for both alike
        flags = source_flags(folders)
        commands = {
            "plain": ("-m", "benchmarks.plain"),
            "ours": ("generate_dataset.py", "--workers", args.workers),
        }
        taken = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, words in commands.items():
                with TemporaryDirectory(dir=scratch) as out:
                    taken[name].append(measure(*words, Path(out) / "set", *flags))
    return [
        {
            "recipe": name,
            "images": len(records),
            "images/s": len(records) / median(run.seconds for run in runs),
            "times plain": median(
                plain.seconds / run.seconds for plain, run in zip(taken["plain"], runs, strict=True)
            ),
            "CPU ms/image": 1000 * median(run.cpu for run in runs) / len(records),
            "peak MiB": max(run.peak for run in runs),
        }
        for name, runs in taken.items()
    ]

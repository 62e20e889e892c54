"""What an epoch costs against as many steps on a batch that is in memory already."""

import argparse
import json
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.measure import measure, source_flags
from benchmarks.sources import given_sources
from benchmarks.table import Row


def run(args: argparse.Namespace) -> list[Row]:
    """By turns in one process: the loader, its processes and the network share the machine."""
    with TemporaryDirectory() as scratch, given_sources(args, Path(scratch)) as folders:
        dataset = Path(scratch, "set")
        measure("generate_dataset.py", dataset, "--size", args.size, *source_flags(folders))
        words = (args.size, args.batch_size, args.workers, dataset, args.rounds)
        taken = measure("-m", "benchmarks.trial", "epoch", *words)
    pairs = json.loads(taken.said)
    return [
        {
            "benchmark": "epoch",
            "recipe": name,
            "images/s": median(pair[which] for pair in pairs),
            "times the first": median(pair[which] / pair[1] for pair in pairs),
            "peak MiB": taken.peak,
        }
        for which, name in ((1, "in memory"), (0, "from the disk"))
    ]

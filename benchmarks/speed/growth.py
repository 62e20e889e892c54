"""generate_dataset.py on growing numbers of sample images: time per image, and memory."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import measure, source_flags
from benchmarks.table import Row
from data.sample import write_sample
from data.sources import SOURCES


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each number of images; the time to draw them does not count.

    "ms/further image" compares with the row before, so it leaves out what every run takes to start.
    """
    rows = []
    for number in args.images:
        with TemporaryDirectory() as scratch:
            # The sample has 4 images for every 3 patients.
            folders = write_sample(Path(scratch, "raw"), patients=number * 3 // 4, size=args.size)
            images = sum(len(SOURCES[name].read(folder)[0]) for name, folder in folders.items())
            flags = source_flags(folders)
            words = ("generate_dataset.py", Path(scratch, "set"), "--workers", args.workers)
            taken = measure(*words, *flags)
        each = 1000 * taken.seconds / images
        before = rows[-1] if rows else {"images": 0, "seconds": 0, "ms/image": each}
        further = 1000 * (taken.seconds - before["seconds"]) / (images - before["images"])
        rows.append(
            {
                "images": images,
                "seconds": taken.seconds,
                "ms/image": each,
                "times the first": each / (rows or [before])[0]["ms/image"],
                "ms/further image": further,
                "peak MiB": taken.peak,
            }
        )
    return rows

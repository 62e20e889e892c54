"""The sources that a benchmark is given, or those that --sample draws."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import measure, source_flags
from data.sample import write_sample
from data.sources import SOURCES

STORED = 256  # pixels of a data set's images, the default; finer than a smaller input


@contextmanager
def given_sources(args: argparse.Namespace, scratch: Path) -> Iterator[dict[str, Path]]:
    """Name -> folder. Every file is read once, so that all recipes find it in memory."""
    folders = {name: getattr(args, name.replace("-", "_")) for name in SOURCES}
    folders = {name: Path(folder) for name, folder in folders.items() if folder}
    with TemporaryDirectory(dir=scratch) as drawn:
        folders = folders or write_sample(Path(drawn, "raw"))
        for name, folder in folders.items():
            for record in SOURCES[name].read(folder)[0]:
                record.path.read_bytes()
        yield folders


def make_dataset(dataset: Path, size: int, folders: Mapping[str, Path]) -> None:
    """Writes a data set of the sources with images of `size` pixels."""
    measure("generate_dataset.py", dataset, "--size", size, *source_flags(folders))

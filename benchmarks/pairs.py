"""Recipes in processes of their own, by turns: the rows of their table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.measure import Measured, measure
from benchmarks.table import Row

Trial = tuple[str, Path, int]  # kind and folder for benchmarks.trial, repetitions


def by_turns(
    trials: Mapping[str, Trial], rounds: int, size: int, batch: int, workers: int
) -> dict[str, list[Measured]]:
    """recipe -> what each of its rounds took."""
    taken = {name: [] for name in trials}
    for _ in range(rounds):
        for name, (kind, folder, repetitions) in trials.items():
            words = (kind, size, batch, workers, folder, repetitions)
            taken[name].append(measure("-m", "benchmarks.trial", *words))
    return taken


def rows(benchmark: str, taken: Mapping[str, Sequence[Measured]]) -> list[Row]:
    """A row for each recipe, against the first of them."""
    rates = {
        name: [median(rate for (rate,) in json.loads(run.said)) for run in runs]
        for name, runs in taken.items()
    }
    first = next(iter(rates.values()))
    return [
        {
            "benchmark": benchmark,
            "recipe": name,
            "images/s": median(of_rounds),
            "times the first": median(a / b for a, b in zip(of_rounds, first, strict=True)),
            "peak MiB": max(run.peak for run in taken[name]),
        }
        for name, of_rounds in rates.items()
    ]

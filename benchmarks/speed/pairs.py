"""Recipes in processes of their own, by turns, and the rows of their table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.measure import Measured, measure
from benchmarks.table import Row

Trial = tuple[str, Path, int]  # kind and folder for benchmarks.speed.trial, repetitions
Rates = dict[str, list[float]]  # recipe -> images per second, one value for each round


def commands_by_turns(
    commands: Mapping[str, Sequence[object]], rounds: int
) -> dict[str, list[Measured]]:
    """recipe -> what each of its rounds took. commands: recipe -> words for `measure`."""
    taken = {name: [] for name in commands}
    for _ in range(rounds):
        for name, words in commands.items():
            taken[name].append(measure(*words))
    return taken


def rates_of_commands(taken: Mapping[str, Sequence[Measured]], images: int) -> Rates:
    """Rates of commands that process so many images; starting the process counts."""
    return {name: [images / run.seconds for run in runs] for name, runs in taken.items()}


def by_turns(
    trials: Mapping[str, Trial], rounds: int, size: int, batch: int, workers: int
) -> dict[str, list[Measured]]:
    """recipe -> what each of its rounds took."""
    return commands_by_turns(
        {
            name: ("-m", "benchmarks.speed.trial", kind, size, batch, workers, folder, repetitions)
            for name, (kind, folder, repetitions) in trials.items()
        },
        rounds,
    )


def rates_of_trials(taken: Mapping[str, Sequence[Measured]]) -> Rates:
    """Rates of `benchmarks.speed.trial`, which prints the rate of each repetition itself."""
    return {
        name: [median(json.loads(run.said)["rates"]) for run in runs]
        for name, runs in taken.items()
    }


def rows(benchmark: str, taken: Mapping[str, Sequence[Measured]], rates: Rates) -> list[Row]:
    """A row for each recipe, compared with the first of them."""
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

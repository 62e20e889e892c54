"""The parts that a report is made of, and how a number looks in it, whatever it is written as."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from numbers import Integral
from pathlib import Path

from util.metrics.intervals import Metric

Cell = str | int | float | Metric | None


@dataclass(frozen=True)
class Row:
    name: str
    cells: Sequence[Cell]
    kind: str = ""  # `cheat` is set apart from the model's


@dataclass(frozen=True)
class Table:
    """`head` names the first column and each cell. `scale`: a metric is drawn from 0 to 1, too."""

    head: Sequence[str]
    rows: Sequence[Row]
    scale: bool = False
    kind: str = ""


@dataclass(frozen=True)
class Figure:
    """`alt` says in words what the PNG file shows."""

    path: Path
    title: str
    alt: str


@dataclass(frozen=True)
class Section:
    """`how` tells how to read it. A note is a sentence with the name of what it is about, or ""."""

    title: str
    how: str
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[tuple[str, str]] = ()
    kind: str = ""


def text(cell: Cell) -> str:
    """A number as every page shows it: counts whole, all else with three places."""
    value = cell["value"] if isinstance(cell, Mapping) else cell
    if isinstance(value, str):
        return value
    if value is None or isnan(value):
        return "undefined"
    return f"{value:,}" if isinstance(value, Integral) else f"{value:.3f}"


def interval(metric: Metric) -> str:
    return "" if metric["value"] is None else f"{metric['low']:.3f} to {metric['high']:.3f}"


def sentence(words: str) -> str:
    words = words[:1].upper() + words[1:]
    return words if words.endswith((".", "!", "?")) else f"{words}."

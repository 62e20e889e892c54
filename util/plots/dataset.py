"""A dataset in one picture: who is in it, what cheats score, and how it looks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from util.plots.style import COLOURS, PALE, save_figure, strip

ACROSS, DOWN = 6, 2  # images of one class in one split on the contact sheet
TILE = 96  # their side, pixels
AGE_SHADES = ["#C6DBEF", "#85BCDC", "#4292C6", "#1764AB", "#08306B"]  # from matplotlib's Blues
SPLIT_SHADES = {"train": 1.0, "val": 0.6, "test": 0.35}

Scores = Mapping[str, Mapping[str, Mapping[str, float]]]


def plot_dataset(
    tables: Mapping[str, pd.DataFrame],
    cheats: Scores,
    read: Callable[[str, str], np.ndarray],
    path: str | Path,
) -> Path:
    """The audit of a dataset folder as one PNG.

    tables: split -> metadata with `filename label source view sex age`, all text, age a band,
    `unknown` where it is not known.
    cheats: name -> split -> `value low high` of its accuracy. read: (split, filename) -> an
    image (H, W) uint8.
    """
    everything = pd.concat([table.assign(split=split) for split, table in tables.items()])
    labels = sorted(everything["label"].unique())
    bars = everything.groupby(["label", "source"]).ngroups
    heights = [max(3.8, 0.35 * bars), 2.0 * len(labels)]  # inches
    figure = Figure(figsize=(15, sum(heights)), layout="constrained")
    patients = everything["patient_id"].nunique()
    figure.suptitle(f"{len(everything):,} images of {patients:,} patients", x=0.01, ha="left")
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)
    columns = top.subplots(1, 5, gridspec_kw={"width_ratios": [1.5, 1, 1, 1, 1.2]})
    _draw_counts(columns[0], everything, labels, list(tables))
    for axes, name in zip(columns[1:4], ("view", "sex", "age"), strict=True):
        _draw_shares(axes, everything, labels, name)
    _draw_scores(columns[4], cheats)
    _draw_sheet(bottom, tables, labels, read)
    return save_figure(figure, path, dpi=100)


def _draw_counts(
    axes: Axes, images: pd.DataFrame, labels: Sequence[str], splits: Sequence[str]
) -> None:
    table = pd.crosstab([images["label"], images["source"]], images["split"])
    table = table.reindex(columns=splits, fill_value=0)[::-1]
    sources = sorted(images["source"].unique())
    colours = [COLOURS[sources.index(source) % len(COLOURS)] for _, source in table.index]
    left = np.zeros(len(table))
    for split in splits:
        axes.barh(
            range(len(table)), table[split], left=left, color=colours, alpha=SPLIT_SHADES[split]
        )
        left += table[split].to_numpy()
    for row, counts in enumerate(table.to_numpy()):
        axes.text(left[row], row, f"  {' + '.join(map(str, counts))}", va="center", fontsize=8)
    names = [f"{label}\n{source}" for label, source in table.index]
    axes.set_yticks(range(len(table)), [_plain(name) for name in names], fontsize=8)
    axes.set_xlim(0, 1.35 * left.max())
    axes.set_title(f"Images: {' + '.join(splits)}", loc="left", fontsize=10)
    strip(axes)


def _draw_shares(axes: Axes, images: pd.DataFrame, labels: Sequence[str], column: str) -> None:
    """Per class, which share of the images has each value of the column; unknown is pale."""
    values = images[column]
    table = pd.crosstab(images["label"], values, normalize="index").loc[labels[::-1]]
    known = [name for name in table.columns if name != "unknown"]
    left = np.zeros(len(table))
    shades = AGE_SHADES if column == "age" else COLOURS  # ages have an order
    for k, name in enumerate([*known, *values[values == "unknown"].unique()]):
        colour = PALE if name == "unknown" else shades[k % len(shades)]
        axes.barh(range(len(table)), table[name], left=left, color=colour, label=_plain(name))
        left += table[name].to_numpy()
    axes.set_yticks(range(len(table)), [_plain(label) for label in table.index], fontsize=8)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_title(column.capitalize(), loc="left", fontsize=10)
    axes.legend(
        fontsize=7, frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.1),
        handlelength=1,
    )  # fmt: skip
    strip(axes)


def _draw_scores(axes: Axes, cheats: Scores) -> None:
    """The accuracy of each cheat, with its 95 % interval."""
    splits = list(next(iter(cheats.values()), {}))
    for k, split in enumerate(splits):
        value, low, high = (
            np.array([scores[split][name] for scores in cheats.values()])
            for name in ("value", "low", "high")
        )
        rows = np.arange(len(cheats)) + 0.3 * (k - (len(splits) - 1) / 2)
        axes.errorbar(
            value, rows, xerr=(value - low, high - value), fmt="o", color=COLOURS[k], label=split
        )
        for place, score, end in zip(rows, value, high, strict=True):
            axes.text(end, place, f"  {score:.2f}", va="center", fontsize=8, color=COLOURS[k])
    axes.set_yticks(range(len(cheats)), cheats, fontsize=8)
    axes.set_ylim(len(cheats) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_title("Accuracy of cheats", loc="left", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=2)
    strip(axes)


def _draw_sheet(
    figure: SubFigure, tables: Mapping[str, pd.DataFrame], labels: Sequence[str], read: Callable
) -> None:
    """Some images of each class (rows) in each split (columns), spread over the sources."""
    grid = figure.subplots(len(labels), len(tables), squeeze=False)
    for row, label in enumerate(labels):
        for column, (split, table) in enumerate(tables.items()):
            axes = grid[row, column]
            mine = table[table["label"] == label].sort_values(["source", "filename"])
            count = min(len(mine), ACROSS * DOWN)
            spread = np.linspace(0, len(mine) - 1, count).round().astype(int)
            names = mine["filename"].iloc[spread]
            axes.imshow(
                mosaic([read(split, name) for name in names]), cmap="gray", vmin=0, vmax=255
            )
            axes.set_axis_off()
            axes.set_title(
                _plain(f"{split}: {label}, {count} of {len(mine)}"), loc="left", fontsize=9
            )


def mosaic(images: Sequence[np.ndarray], across: int = ACROSS, down: int = DOWN) -> np.ndarray:
    """Grayscale images side by side, each TILE x TILE, row after row; white where there is none."""
    sheet = np.full((down * (TILE + 2), across * (TILE + 2)), 255, np.uint8)
    for k, image in enumerate(images):
        top, left = (k // across) * (TILE + 2), (k % across) * (TILE + 2)
        tile = Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BILINEAR)
        sheet[top : top + TILE, left : left + TILE] = tile
    return sheet


def _plain(text: str) -> str:
    return text.replace("$", r"\$")  # a dollar in a name must not start a formula

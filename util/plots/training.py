"""Plots of a run, as PNG files, and what all plots share. No display and no global state."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from util.files import atomic_path

# Okabe & Ito (2008), https://jfly.uni-koeln.de/color: told apart with every kind of colour vision.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
INK, PALE = "#333333", "#BBBBBB"
FEW_POINTS = 30  # up to here a line shows its points, and a line of one point is seen at all


def plot_history(history: Sequence[dict], path: str | Path) -> Path:
    """Losses, validation metrics with the best epoch marked, and learning rate, epoch by epoch.

    Each row has `epoch`, `train_loss`, `val_loss`, `val_accuracy`, `val_macro_f1` and `lr`; other
    keys do no harm, None is a gap. The best epoch has the highest macro F1, the earliest of equals.
    Raises ValueError for a history without epochs.
    """
    if not history:
        raise ValueError("history: no epochs; expected at least one row.")
    names = ("epoch", "train_loss", "val_loss", "val_accuracy", "val_macro_f1", "lr")
    columns = (np.array([row[name] for row in history], float) for name in names)
    epochs, train_loss, val_loss, accuracy, macro_f1, lr = columns

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    losses, metrics, rates = figure.subplots(1, 3)
    _draw_lines(losses, "Loss", epochs, {"train": train_loss, "validation": val_loss})
    _draw_lines(metrics, "Validation", epochs, {"macro F1": macro_f1, "accuracy": accuracy})
    _draw_lines(rates, "Learning rate", epochs, {"": lr})
    rates.yaxis.set_major_formatter("{x:g}")
    metrics.set_ylim(0, 1)
    if np.isfinite(macro_f1).any():
        best = np.nanargmax(macro_f1)
        for axes in (losses, metrics):
            axes.axvline(epochs[best], color=PALE, linewidth=1, zorder=0)
        found = f"best macro F1 {macro_f1[best]:.3f}, epoch {epochs[best]:.0f}"
        metrics.set_title(found, loc="center", fontsize=9)
    return save_figure(figure, path)


def plot_confusion_matrix(matrix: np.ndarray, classes: Sequence[str], path: str | Path) -> Path:
    """Writes `draw_confusion_matrix` as a PNG."""
    return save_figure(draw_confusion_matrix(matrix, classes), path)


def draw_confusion_matrix(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """Images by true class (rows) and predicted class (columns): counts and shares of the row.

    `matrix` (K, K) counts, `classes` K names. The row of a class without images stays empty.
    """
    matrix = np.asarray(matrix)
    n_classes = len(classes)
    images = matrix.sum(1, keepdims=True)
    shares = np.divide(matrix, images, out=np.zeros(matrix.shape), where=images > 0)

    upright = n_classes <= 4  # room for the names of the columns to stand upright
    side = n_classes * (1.3 if upright else 0.62)
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if images[row, 0]:
            share = shares[row, column]
            axes.text(
                column, row, f"{share:.0%}\n{count}", ha="center", va="center", fontsize=8,
                color="white" if share > 0.55 else INK,
            )  # fmt: skip
    axes.set_xticks(range(n_classes), [wrap(name, 13 if upright else 24) for name in classes])
    axes.set_yticks(range(n_classes), [wrap(name, 24) for name in classes])
    axes.tick_params(axis="x", labelrotation=0 if upright else 90)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    # White gaps between the cells.
    axes.set_xticks(np.arange(1, n_classes) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, n_classes) - 0.5, minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(which="minor", color="white", linewidth=2)
    return figure


def _draw_lines(axes: Axes, title: str, epochs: np.ndarray, lines: dict[str, np.ndarray]) -> None:
    """Lines over the epochs, each named at its end; the higher end takes the upper name."""
    ends = {name: _last(values) for name, values in lines.items()}
    for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
        marker = "." if len(epochs) <= FEW_POINTS else ""
        axes.plot(epochs, values, color=colour, marker=marker)
        above = ends[name] == max(ends.values())
        axes.annotate(
            name, (epochs[-1], ends[name]), (6, 0), textcoords="offset points", color=colour,
            va="bottom" if above else "top", annotation_clip=False,
        )  # fmt: skip
    axes.set_title(title, loc="left")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.set_ylim(bottom=0)
    strip(axes)


def _last(values: np.ndarray) -> float:
    """Where the name of a line stands: its last value, 0 when it has none."""
    finite = values[np.isfinite(values)]
    return finite[-1] if len(finite) else 0.0


def wrap(name: str, width: int) -> str:
    """A class's name in lines of `width`; a dollar in it must not start a formula."""
    return textwrap.fill(name, width).replace("$", r"\$")


def strip(axes: Axes) -> None:
    """Takes away the upper and the right edge."""
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> Path:
    """Writes a PNG, whole or not at all."""
    # Tight is a second drawing, which a figure that lays itself out has no need of.
    box = None if figure.get_layout_engine() else "tight"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, bbox_inches=box)
    return Path(path)

"""The course of a training as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from util.plots.style import COLOURS, PALE, save_figure, strip

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
        title = f"best macro F1 {macro_f1[best]:.3f}, epoch {epochs[best]:.0f}"
        metrics.set_title(title, loc="center", fontsize=9)
    return save_figure(figure, path)


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

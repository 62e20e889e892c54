"""The course of a training as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from util.plots.style import COLOURS, PALE, save_figure, strip
from util.words import SCORES

FEW_POINTS = 30  # up to here a line shows its points, and a line of one point is seen at all
SHOWN = {name: words for name, words in SCORES.items() if name != "loss"} | {"accuracy": "accuracy"}


def plot_history(history: Sequence[dict], path: str | Path, choose: str = "macro_f1") -> Path:
    """Losses, validation scores with the best epoch marked, and learning rate, epoch by epoch.

    Each row has `epoch`, `train_loss`, `lr` and `val_` with `loss` and each of SHOWN; other keys do
    no harm, None or no key is a gap. The best epoch has the best score `choose`, one of SCORES, the
    earliest of equals. Raises ValueError for a history without epochs.
    """
    if not history:
        raise ValueError("history: no epochs; expected at least one row.")

    def column(name: str) -> np.ndarray:
        return np.array([row.get(name) for row in history], float)

    epochs = column("epoch")
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    losses, scores, rates = figure.subplots(1, 3)
    both = {"train": column("train_loss"), "validation": column("val_loss")}
    _draw_lines(losses, "Loss", epochs, both)
    lines = {words: column(f"val_{name}") for name, words in SHOWN.items()}
    _draw_lines(scores, "Validation", epochs, lines)
    _draw_lines(rates, "Learning rate", epochs, {"": column("lr")})
    rates.yaxis.set_major_formatter("{x:g}")
    scores.set_ylim(0, 1)
    judged = column(f"val_{choose}")
    if np.isfinite(judged).any():
        best = np.nanargmin(judged) if choose == "loss" else np.nanargmax(judged)
        for axes in (losses, scores):
            axes.axvline(epochs[best], color=PALE, linewidth=1, zorder=0)
        title = f"best {SCORES[choose]} {judged[best]:.3f}, epoch {epochs[best]:.0f}"
        scores.set_title(title, loc="right", fontsize=8)
    return save_figure(figure, path)


def _draw_lines(axes: Axes, title: str, epochs: np.ndarray, lines: dict[str, np.ndarray]) -> None:
    """Lines over the epochs, by name; "" for a line that needs none."""
    for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
        marker = "." if len(epochs) <= FEW_POINTS else ""
        axes.plot(epochs, values, color=colour, marker=marker, label=name)
    if all(lines):
        axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, loc="left")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.set_ylim(bottom=0)
    strip(axes)

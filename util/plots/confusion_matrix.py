"""The confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from util.plots.style import INK, save_figure, wrap


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

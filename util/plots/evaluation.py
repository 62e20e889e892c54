"""Plots of an evaluation, as PNG files: curves, calibration, subgroups. No global state."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import precision_recall_curve, roc_curve

from util.metrics.intervals import Metric
from util.metrics.ranking import auroc, average_precision
from util.metrics.selective import curve
from util.plots.confusion_matrix import plot_confusion_matrix
from util.plots.style import COLOURS, INK, PALE, save_figure, strip, wrap

DASHES = ["-", "--", ":", "-."]  # one more for each time the colours are used up
ROW = 0.27  # inches for a subgroup


def draw_all(
    metrics: Mapping, probabilities: np.ndarray, targets: np.ndarray, folder: str | Path
) -> dict[str, Path]:
    """Every plot of an evaluation into `folder`: name -> its PNG, for `write_report`.

    `metrics` is what metrics.json holds; `probabilities` (n, K), `targets` (n,) class indices.
    """
    classes, shown = metrics["classes"], (probabilities, targets, metrics["classes"])

    def path(name: str) -> Path:
        return Path(folder) / f"{name}.png"

    return {
        "confusion_matrix": plot_confusion_matrix(
            metrics["confusion_matrix"], classes, path("confusion_matrix")
        ),
        "roc": plot_roc(*shown, path("roc")),
        "precision_recall": plot_precision_recall(*shown, path("precision_recall")),
        "reliability": plot_reliability(metrics["calibration"], path("reliability")),
        "risk_coverage": plot_risk_coverage(
            probabilities, targets, metrics["risk_coverage"]["area"], path("risk_coverage")
        ),
        "subgroups": plot_subgroups(metrics["subgroups"], metrics["accuracy"], path("subgroups")),
    }


def plot_roc(
    probabilities: np.ndarray, targets: np.ndarray, classes: Sequence[str], path: str | Path
) -> Path:
    """ROC curve of each class against the rest, named with its AUROC, the best first.

    `probabilities` (n, K), `targets` (n,) class indices, `classes` K names. A class that has no
    images, or all of them, has no curve and is named without one.
    """
    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    areas = auroc(probabilities, targets)
    figure, axes = _square(
        "false positive rate (1 - specificity)", "true positive rate (sensitivity)"
    )
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=1)

    def draw(k: int, **style) -> None:
        false, true, _ = roc_curve(targets == k, probabilities[:, k], drop_intermediate=False)
        axes.plot(false, true, **style)

    _draw_curves(axes, "AUROC", areas, classes, draw)
    return save_figure(figure, path)


def plot_precision_recall(
    probabilities: np.ndarray, targets: np.ndarray, classes: Sequence[str], path: str | Path
) -> Path:
    """Precision over recall of each class, named with its average precision, the best first.

    Shapes as for `plot_roc`. A thin line is the class's share of the images, which is what a guess
    has. Steps, not slopes: between two thresholds no precision exists. A class without
    images has no curve and is named without one.
    """
    probabilities, targets = np.asarray(probabilities), np.asarray(targets)
    areas = average_precision(probabilities, targets)
    figure, axes = _square("recall (sensitivity)", "precision")

    def draw(k: int, **style) -> None:
        precision, recall, _ = precision_recall_curve(targets == k, probabilities[:, k])
        axes.plot(recall[::-1], precision[::-1], drawstyle="steps-pre", **style)
        axes.axhline(np.mean(targets == k), color=style["color"], linewidth=0.7, alpha=0.5)

    _draw_curves(axes, "Average precision", areas, classes, draw)
    return save_figure(figure, path)


def plot_reliability(calibration: Mapping, path: str | Path) -> Path:
    """How often the named class is right, over how sure the model said it is.

    `calibration` has `expected_calibration_error`, a metric, and `bins`, those that
    hold images, each {"low", "high", "images", "confidence", "accuracy"}. A dot is a bin, a line
    from it to the diagonal its error, the bars below how many images it holds.
    """
    bins = calibration["bins"]
    columns = ("low", "high", "images", "confidence", "accuracy")
    low, high, images, confidence, accuracy = (
        np.array([row[name] for row in bins], float) for name in columns
    )
    figure = Figure(figsize=(4.4, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], color=PALE, linewidth=1)
    upper.vlines(confidence, confidence, accuracy, color=COLOURS[1], linewidth=1.5)
    upper.plot(confidence, accuracy, "o", color=COLOURS[0])
    upper.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), ylabel="share of them named correctly")
    error = calibration["expected_calibration_error"]
    text = "undefined" if error["value"] is None else f"{error['value']:.3f}"
    upper.set_title(f"expected calibration error {text}", loc="left", fontsize=10)
    lower.bar(low, images, high - low, align="edge", color=PALE, edgecolor="white")
    lower.set(xlabel="probability of the named class", ylabel="images")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    for axes in (upper, lower):
        strip(axes)
    return save_figure(figure, path)


def plot_risk_coverage(
    probabilities: np.ndarray, targets: np.ndarray, area: Metric, path: str | Path
) -> Path:
    """How many of the named images are named wrongly, over the share that is named.

    `probabilities` (n, K), `targets` (n,) class indices, `area` under the curve. A thin line is the
    error of all images, at which a guess of which to leave undecided stays.
    """
    share, error = curve(np.asarray(probabilities), np.asarray(targets), np.ones(len(targets)))
    figure = Figure(figsize=(4.4, 4.4))
    axes = figure.subplots()
    axes.axhline(error[-1], color=PALE, linewidth=1)
    axes.plot(share, error, color=COLOURS[0], drawstyle="steps-pre")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, max(2 * error[-1], 0.1)))
    axes.set(xlabel="share of the images that are named", ylabel="share of them named wrongly")
    axes.set_title(f"area {area['value']:.3f}", loc="left", fontsize=10)
    strip(axes)
    return save_figure(figure, path)


def plot_subgroups(subgroups: Mapping[str, Mapping], accuracy: Metric, path: str | Path) -> Path:
    """Accuracy of each subgroup with its 95 % interval, column by column.

    `subgroups`: column -> value -> {"images", "patients", "accuracy": metric}.
    `accuracy` of all images is the vertical line. A subgroup without a value keeps its row, empty.
    """
    rows = [(column, name) for column, groups in subgroups.items() for name in groups]
    figure = Figure(figsize=(6.4, 0.8 + ROW * (len(rows) + len(subgroups))))
    axes = figure.subplots()
    place, places, names = 0.0, [], []
    for column, groups in subgroups.items():
        axes.text(
            -0.02, place, wrap(column.capitalize(), 40), ha="right", va="center", color=INK,
            weight="bold", fontsize=9, transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        for name, scores in groups.items():
            place += 1
            places.append(place)
            names.append(f"{wrap(name, 40)}  {scores['images']} ({scores['patients']})")
            if (metric := scores["accuracy"])["value"] is not None:
                ends = [metric["low"], metric["high"]]
                axes.plot(ends, [place, place], color=COLOURS[0], linewidth=1.5)
                axes.plot(metric["value"], place, "o", color=COLOURS[0], markersize=5)
        place += 1
    if accuracy["value"] is not None:
        axes.axvline(accuracy["value"], color=PALE, linewidth=1, zorder=0)
    axes.set_yticks(places, names, fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(-0.01, 1.01), ylim=(max(place, 1) - 0.4, -0.6), xlabel="accuracy")
    axes.set_title("images (patients)", loc="left", x=-0.02, ha="right", fontsize=9, color=INK)
    strip(axes)
    return save_figure(figure, path)


def _square(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.4, 4.4))
    axes = figure.subplots()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=across, ylabel=up)
    strip(axes)
    return figure, axes


def _draw_curves(
    axes: Axes, title: str, areas: np.ndarray, classes: Sequence[str], draw: Callable
) -> None:
    """One curve for each class with an area (K,), NaN for none; draw(k, **style) draws it."""
    styles = list(product(DASHES, COLOURS))
    for k in np.argsort(-np.nan_to_num(areas, nan=-1), kind="stable"):
        dash, colour = styles[k % len(styles)]
        known = not np.isnan(areas[k])
        area = f"{areas[k]:.3f}" if known else "  -  "
        style = {"linestyle": dash, "color": colour, "label": wrap(f"{area}  {classes[k]}", 40)}
        if known:
            draw(k, **style)
        else:
            axes.plot([], [], **style)
    axes.legend(
        title=title, alignment="left", frameon=False, fontsize=9,
        loc="upper left", bbox_to_anchor=(1.02, 1),
    )  # fmt: skip

"""What one group of models gains over another on the same images, with intervals by patient.

python3 -m benchmarks gain --of SEED-1.csv SEED-2.csv --over PLAIN-1.csv PLAIN-2.csv

A group is one model, or several seeds or folds of one recipe, of which the mean score counts. The
tables are evaluate.py's predictions.csv, or out_of_fold.csv of runs with folds. Of log-loss and
calibration error less is better.

An interval is of bootstrap draws that take the same patients for both groups, widened for the few
patients of the rarest class, or of the smaller kind within sources. It knows the chance in the
patients, not that in the seeds.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.table import Row
from data.dataset_folder import read_frame
from util.metrics.calibration import BINS, SMALLEST, bins_of
from util.metrics.intervals import bootstrap, few_clusters, leaning_interval, row_counts
from util.metrics.ranking import auroc, ratio
from util.metrics.scores import accuracy, confusion_matrix, f1, macro_average, recall, specificity
from util.metrics.within_source import aurocs, odds, smaller_side, strata
from util.training.out_of_fold import classes_of

DRAWS = 1000
TRUTH = ["filename", "source", "patient_id", "truth"]


class Score(NamedTuple):
    of: Callable[[np.ndarray], np.ndarray]  # weights of the images (b, n) -> (b,)
    patients: float  # that it leans on


class Images(NamedTuple):
    """What both groups were asked: n images, all of them arrays (n,)."""

    classes: list[str]
    targets: np.ndarray  # class indices
    sources: np.ndarray
    patients: np.ndarray


def run(args: argparse.Namespace) -> list[Row]:
    """A row for each score: the mean of either group, and the difference with its interval."""
    groups = read_groups(args.over, args.of)
    images, (over, of) = groups
    leaning = {name: score.patients for name, score in scores(images, over[0]).items()}

    def means(weights: np.ndarray) -> np.ndarray:
        """(b, 2 groups, scores)"""
        return np.stack(
            [np.mean([_all(images, model, weights) for model in group], 0) for group in (over, of)],
            axis=1,
        )

    values = means(np.ones((1, len(images.targets))))[0]
    drawn = bootstrap(means, images.patients, DRAWS, args.seed)
    rows = []
    for k, (name, patients) in enumerate(leaning.items()):
        before, after = values[:, k]
        if np.isnan(gain := after - before):
            continue
        ends = leaning_interval(drawn[:, 1, k] - drawn[:, 0, k], gain)
        low, high = (gain + few_clusters(patients) * (end - gain) for end in ends)
        gained = f"{gain:+.3f} ({low:+.3f} - {high:+.3f})"
        rows.append(
            {"score": name, "over": f"{before:.3f}", "of": f"{after:.3f}", "difference": gained}
        )
    return rows


def read_groups(*groups: Sequence[Path]) -> tuple[Images, list[list[np.ndarray]]]:
    """The images, and of each group the probabilities (n, K) of each of its models.

    ValueError for a table whose images, or their classes, are not those of the first one.
    """
    first, images, read = None, None, []
    for path in (path for group in groups for path in group):
        table = read_frame(path, TRUTH).sort_values("filename", ignore_index=True)
        classes = classes_of(table)
        if first is None:
            first, truth = path, table[TRUTH]
            targets = pd.Index(classes).get_indexer(table["truth"])
            if len(classes) < 2 or (targets < 0).any():
                raise ValueError(
                    f"{path}: found {', '.join(classes) or 'no class'} with a probability; expected"
                    " a column p(CLASS) of each class in truth"
                )
            images = Images(classes, targets, *table[["source", "patient_id"]].to_numpy().T)
        if classes != images.classes or not table[TRUTH].equals(truth):
            raise ValueError(
                f"{path}: found other images, classes or labels than in {first}; expected the same:"
                " evaluate all models on one split of one dataset folder"
            )
        read.append(table[[f"p({name})" for name in classes]].to_numpy(float))
    models = iter(read)
    return images, [[next(models) for _ in group] for group in groups]


def scores(images: Images, p: np.ndarray) -> Mapping[str, Score]:
    """p: (n, K). Scores of one model, by name."""
    classes, targets, sources, patients = images
    pairs = {
        f"within source, {classes[a]} against {classes[b]}": strata(
            odds(p[:, a], p[:, b]), targets == a, targets == b, sources
        )
        for a, b in combinations(range(len(classes)), 2)
        if len(classes) > 2  # of two, it is the mean of the classes
    }
    rest = [strata(column, targets == k, targets != k, sources) for k, column in enumerate(p.T)]
    confidence, named = p.max(1), p.argmax(1)
    surplus, bins = (named == targets) - confidence, bins_of(confidence)
    losses = -np.log(p[np.arange(len(p)), targets].clip(SMALLEST))

    def matrix(weights: np.ndarray) -> np.ndarray:
        return confusion_matrix(targets, named, len(classes), weights)

    def macro(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return macro_average(values, matrix(weights))

    def calibration_error(weights: np.ndarray) -> np.ndarray:
        gaps = row_counts(bins, BINS, weights * surplus)
        return ratio(np.abs(gaps).sum(1), weights.sum(1))

    rarest = min(len(set(patients[targets == k])) for k in np.unique(targets))
    sizes = [size for kind in rest if (size := smaller_side(kind, patients))]
    within = {
        "within source, mean of the classes": Score(
            lambda w: aurocs(rest, len(rest), w)[:, 0], np.mean(sizes or 0)
        )
    }
    for name, pair in pairs.items():
        of = lambda w, pair=pair: aurocs([pair], 1, w)[:, 0]  # noqa: E731
        within[name] = Score(of, smaller_side(pair, patients))
    overall = {
        "macro AUROC": lambda w: macro(auroc(p, targets, w), w),
        "macro F1": lambda w: macro(f1(matrix(w)), w),
        "accuracy": lambda w: accuracy(matrix(w)),
        **{
            f"{word} of {name}": lambda w, of=of, k=k: of(matrix(w))[:, k]
            for word, of in {"recall": recall, "specificity": specificity}.items()
            for k, name in enumerate(classes)
        },
        "log-loss": lambda w: ratio(w @ losses, w.sum(1)),
        "calibration error": calibration_error,
    }
    return within | {name: Score(of, rarest) for name, of in overall.items()}


def _all(images: Images, p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(b, scores)"""
    return np.stack([score.of(weights) for score in scores(images, p).values()], axis=1)

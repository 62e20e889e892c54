"""What networks of several folds score, each on the images that it held out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from util.metrics.calibration import calibration
from util.metrics.intervals import UNDEFINED, Metric, mean_interval, metric
from util.metrics.scores import evaluate_predictions
from util.metrics.within_source import within_source

OVERALL = ("macro_auroc", "accuracy", "macro_f1")
CALIBRATION = ("expected_calibration_error", "brier", "log_loss")


def score_folds(table: pd.DataFrame, classes: Sequence[str], seed: int = 0) -> dict:
    """Scores of out-of-fold predictions, ready for JSON, each with its 95 % interval.

    table: a row an image, with patient_id, source, fold, truth and p(class).

    Returns classes, images, patients, and of within_source_auroc, OVERALL and CALIBRATION
        pooled      over all images together, although several networks rank them; the intervals
                    count patients, and do not know that networks of other folds would differ
        mean        over the folds, whose patients differ; the interval is of `mean_interval`
        spread      the standard deviation between the folds
        per_fold    of each, with its number, images and patients
    """
    folds = [
        {"fold": int(fold), **_sizes(rows), **_scores(rows, classes, seed)}
        for fold, rows in table.groupby("fold")
    ]
    pooled = _scores(table, classes, seed)
    return {
        "classes": [*classes],
        **_sizes(table),
        "pooled": pooled,
        "mean": {name: _mean([fold[name] for fold in folds]) for name in pooled},
        "spread": {name: _spread([fold[name] for fold in folds]) for name in pooled},
        "per_fold": folds,
    }


def _sizes(table: pd.DataFrame) -> dict[str, int]:
    return {"images": len(table), "patients": table["patient_id"].nunique()}


def _scores(table: pd.DataFrame, classes: Sequence[str], seed: int) -> dict[str, Metric]:
    probabilities = table[[f"p({name})" for name in classes]].to_numpy()
    targets = table["truth"].map({name: k for k, name in enumerate(classes)}).to_numpy()
    patients = table["patient_id"].to_numpy()
    truth = targets, patients, classes, seed
    within = within_source(probabilities, table["source"], *truth)["macro_auroc"]
    overall = evaluate_predictions(probabilities, *truth)
    calibrated = calibration(probabilities, targets, patients, seed)
    return {
        "within_source_auroc": within,
        **{name: overall[name] for name in OVERALL},
        **{name: calibrated[name] for name in CALIBRATION},
    }


def _mean(of_folds: Sequence[Metric]) -> Metric:
    """Of the folds in which it is defined."""
    if not (known := [found for found in of_folds if found["value"] is not None]):
        return UNDEFINED.copy()
    values = np.array([found["value"] for found in known])
    ends = np.array([(found["low"], found["high"]) for found in known])
    return metric(values.mean(), mean_interval(values, ends))


def _spread(of_folds: Sequence[Metric]) -> float | None:
    known = [found["value"] for found in of_folds if found["value"] is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None

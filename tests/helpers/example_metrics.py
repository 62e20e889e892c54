"""A full metrics.json of a small world, a checkpoint and a dataset.json: for the report.

Every part that the report shows has another number, so that a test can tell which one it found.
"""

from copy import deepcopy
from functools import cache

import numpy as np

from tests.helpers.networks import CLASSES, MAPPING, input_form
from tests.helpers.world import population
from util import checkpoint
from util.metrics.calibration import calibration
from util.metrics.comparison import METRICS, compare
from util.metrics.conformal import PredictionSets, Validation
from util.metrics.intervals import UNDEFINED
from util.metrics.operating_points import choose, measure
from util.metrics.prediction_sets import coverage_by_group, measure_sets
from util.metrics.prevalence import at_prevalence
from util.metrics.scores import evaluate_predictions
from util.metrics.selective import risk_coverage
from util.metrics.subgroups import subgroups
from util.metrics.within_source import within_source
from util.shortcuts.linear_probe import source_in_features
from util.shortcuts.probes import PROBES
from util.shortcuts.verdicts import called_out, headline, heat_outside_lungs, judge

NOTHING = dict(UNDEFINED)


def example() -> dict:
    """metrics.json of one evaluation; a fresh copy, to be bent by a test."""
    return deepcopy(_example())


@cache
def _example() -> dict:
    probabilities, targets, patients = population(3, 77, signal=1.5)
    truth = targets, patients, CLASSES
    generator = np.random.default_rng(0)
    source = np.where(patients.astype(int) % 3, "rsna", "covid-chestxray")

    def scored(seen: np.ndarray, how: str) -> dict:
        scores = evaluate_predictions(seen, *truth, draws=20)
        return {**{name: scores[name] for name in METRICS}, "how": how}

    def blurred(amount: float) -> np.ndarray:
        return probabilities + amount * generator.random(probabilities.shape)

    metrics = {"within_source": within_source(probabilities, source, *truth)}
    metrics |= evaluate_predictions(probabilities, *truth, draws=20)
    metrics["cheats"] = {}
    for name, guesses in (("source", blurred(1)), ("view", blurred(2))):
        lead = compare(guesses, probabilities, *truth)["difference"]
        how = f"each image gets the shares of the classes that its {name} has in train"
        metrics["cheats"][f"the {name} alone"] = {**scored(guesses, how), "lead": lead}
    metrics["source_in_pictures"] = {
        "accuracy": {"value": 0.907, "low": 0.811, "high": 0.957}, "commonest": 0.636,
        "images": len(source), "how": "a model names the source of each picture",
    }  # fmt: skip
    metrics["probes"] = {
        name: scored(blurred(0.5 * k), probe.how)
        for k, (name, probe) in enumerate(PROBES.items(), start=1)
    }
    metrics["calibration"] = {"temperature": 1.37, **calibration(probabilities, *truth[:2])}
    some = targets < 2  # so that COVID-19 has no threshold
    metrics["operating_points"] = measure(
        probabilities, *truth, choose(probabilities[some], targets[some], 0.95)
    )
    sets = PredictionSets.calibrate(
        Validation(probabilities[some], targets[some], patients[some]), 0.9
    )
    metrics["risk_coverage"] = risk_coverage(probabilities, *truth)
    metrics["prediction_sets"] = measure_sets(sets, probabilities, *truth)
    columns = {"source": source, "view": generator.choice(["PA", "AP", "AP Supine"], len(source))}
    columns |= {"sex": generator.choice(["M", "F", "unknown"], len(source))}
    columns |= {"age": generator.choice(["20-39", "40-59", "unknown"], len(source))}
    metrics["subgroups"] = subgroups(probabilities, columns, *truth)
    metrics["prediction_sets"]["subgroups"] = coverage_by_group(
        sets, probabilities, columns, targets, patients
    )
    metrics["subgroups"]["view"]["AP Supine"] |= {"accuracy": NOTHING, "macro_f1": NOTHING}
    stated = dict(zip(CLASSES, (0.9, 0.08, 0.02), strict=True))
    rates = at_prevalence(probabilities, *truth, list(stated.values()))
    doubt = risk_coverage(probabilities, *truth, prevalence=list(stated.values()))
    metrics["prevalence"] = {"stated": stated, **rates, "risk_coverage": doubt}
    heat = heat_outside_lungs(generator.random(len(source)), (3, 3), patients)
    features = generator.normal(size=(len(source), 4)) + (source == "rsna")[:, None]
    known = source_in_features(features, np.where(targets == 2, "rsna", source), *truth)
    verdicts = judge(metrics, metrics["cheats"], metrics["probes"], heat, known)
    return metrics | {
        "heat_outside_lungs": heat, "source_in_features": known,
        "headline": headline(metrics, verdicts), "called_out": called_out(verdicts),
        "verdicts": [verdict.sentence for verdict in verdicts],
    }  # fmt: skip


FACTS = {
    "Checkpoint": "experiments/real96/best.pth (sha256 0c11d4e2)",
    "Dataset": "dataset/real, split test",
    "Versions": "python 3.11.7, torch 2.15.0",
    "Command": "python3 evaluate.py experiments/real96/best.pth --split test",
}

# The `checkpoint` of a Predictor.
CHECKPOINT = {
    "parameters": 37_665_603, "mapping": MAPPING, "input": input_form((96, 96)),
    "config": {
        "name": "real96", "dataset": "dataset/real", "weights": None, "backbone_weights": None,
        "optimizer": "adamw", "lr": 0.001, "epochs": 40, "freeze": None,
    },
    "epoch": 37, "metrics": {"loss": 0.7313, "accuracy": 0.8051, "macro_f1": 0.7989},
    "chosen_by": None, "test_time_augmentation": False,
    "temperature": 1.37, "prior": [0.4, 0.35, 0.25],
    "fingerprint": "882ec04ac0a591cb" * 4, "versions": {"python": "3.11.7", "torch": "2.15.0"},
}  # fmt: skip

# The same of the original's.
ORIGINAL = checkpoint.ORIGINAL | {"step": 14180, "parameters": 37_665_603}


def _row(label: str, source: str, *images: int, **more: str) -> dict:
    splits = zip(("train", "val", "test"), images, strict=True)
    return {"label": label, "source": source} | more | dict(splits)


# dataset.json
ABOUT = {
    "arguments": {
        "sample": False, "test_size": 0.1, "val_size": 0.1,
        "split_from": None, "views": ["PA", "AP", "AP Supine", "AP Erect"], "seed": 1337,
    },
    "images": {"train": 946, "val": 118, "test": 117},
    "patients": {"train": 627, "val": 79, "test": 77},
    "counts": [
        _row("COVID-19", "covid-chestxray", 274, 34, 34),
        _row("normal", "covid-chestxray", 9, 1, 1),
        _row("normal", "rsna", 355, 45, 44),
        _row("pneumonia", "covid-chestxray", 65, 8, 8),
        _row("pneumonia", "rsna", 243, 30, 30),
    ],
    "audit": [
        _row("COVID-19", "covid-chestxray", 174, 24, 14, view="PA", sex="M", age="60-79"),
        _row("COVID-19", "covid-chestxray", 100, 10, 20, view="AP", sex="unknown", age="unknown"),
        _row("normal", "covid-chestxray", 9, 1, 1, view="PA", sex="F", age="20-39"),
        _row("normal", "rsna", 355, 45, 44, view="PA", sex="F", age="40-59"),
        _row("pneumonia", "covid-chestxray", 65, 8, 8, view="AP Supine", sex="M", age="80+"),
        _row("pneumonia", "rsna", 243, 30, 30, view="AP", sex="M", age="40-59"),
    ],
    "dropped": {"class ... is neither normal nor pneumonia": 119, "CT": 63, "no file ...": 14},
    "duplicates": [{"kind": "exact", "images": [{}, {}]}, {"kind": "near", "images": [{}, {}]}],
    "fingerprint": "882ec04ac0a591cb" * 4,
    "versions": {"python": "3.11.7"},
}  # fmt: skip

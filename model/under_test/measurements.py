"""What metrics.json holds of a model beside its scores: cheats, probes, thresholds, prediction
sets, groups of images, and what it looks at."""

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.audit.cheats import chances_of_cheats, explain, source_in_pictures
from data.audit.counts import age_band
from data.dataset_folder import add_pictures, read_split
from data.left_out import of_sources
from data.subject import LEFT_OUT, Subject, left_out
from model.under_test.model import ModelUnderTest, Outputs
from util.metrics.comparison import METRICS, compare
from util.metrics.conformal import PredictionSets, known_patients
from util.metrics.operating_points import Thresholds, choose
from util.metrics.prediction_sets import coverage_by_group, measure_sets
from util.metrics.scores import evaluate_predictions
from util.shortcuts.linear_probe import source_in_features
from util.shortcuts.probes import PROBES, outside_box
from util.shortcuts.verdicts import called_out, headline, heat_outside_lungs, judge
from util.training.folds import trained_on

log = logging.getLogger(__name__)


class Truth(NamedTuple):
    """What is true of the N images, in the order in which util.metrics takes it."""

    targets: np.ndarray  # (N,) class indices
    patients: np.ndarray  # (N,) names
    classes: list[str]
    seed: int  # of the bootstrap samples of patients


def truth_of(model: ModelUnderTest, subject: Subject, seed: int) -> Truth:
    patients = subject.images.table["patient_id"].to_numpy()
    return Truth(np.array(subject.images.targets), patients, model.classes, seed)


def overall(probabilities: np.ndarray, truth: Truth) -> dict:
    scores = evaluate_predictions(probabilities, *truth)
    return {name: scores[name] for name in METRICS}


def cheats(
    model: ModelUnderTest, subject: Subject, probabilities: np.ndarray, truth: Truth
) -> dict[str, dict | None]:
    """What cheats score, and by how much the model is ahead; what pictures show of the source."""
    if subject.split is None:  # one source, and a file seldom says its view
        return {"cheats": {}, "source_in_pictures": None}
    mapping, classes = model.checkpoint["mapping"], model.classes
    train = read_split(subject.folder, "train")
    train = train[train["label"].isin(mapping) & ~of_sources(train, left_out(model.checkpoint))]
    if train.empty:
        return {"cheats": {}, "source_in_pictures": None}
    train = train.replace({"label": {label: classes[k] for label, k in mapping.items()}})
    train, images = (add_pictures(subject.folder, t) for t in (train, subject.images.table))
    chances = chances_of_cheats(train, images, classes)
    if subject.split == LEFT_OUT:
        del chances["source"]  # of which training has no image
    scored = {
        f"the {cheat} alone": {
            **overall(guesses, truth),
            "lead": compare(guesses, probabilities, *truth)["difference"],
            "how": explain(cheat),
        }
        for cheat, guesses in chances.items()
    }
    return {"cheats": scored, "source_in_pictures": source_in_pictures(train, images)}


def probes(model: ModelUnderTest, subject: Subject, truth: Truth) -> dict[str, dict]:
    """What the model scores on the images with a part of each taken away."""
    return {
        name: {**overall(probabilities, truth), "how": PROBES[name].how}
        for name, probabilities in model.probed(subject).items()
    }


def chosen_thresholds(
    model: ModelUnderTest, subject: Subject, wished: float, rate: str
) -> Thresholds | None:
    """As `choose`, of the model's own validation images; None without them, or where the subject is
    these.
    """
    if model.validation is None:
        log.warning("%s: no validation images in it; no operating points", model.path)
        return None
    if chosen_on(model, subject):
        return None
    return choose(model.validation.probabilities, model.validation.targets, wished, rate)


def calibrated_sets(model: ModelUnderTest, subject: Subject, coverage: float) -> PredictionSets:
    """ValueError without validation films to calibrate on, and where the subject is these."""
    films = known_patients(model.validation, model.path)
    if chosen_on(model, subject):
        raise ValueError(
            f"--coverage: found {subject.title} of {subject.folder}, on which the sets are"
            " calibrated; expected other films, such as --split test"
        )
    return PredictionSets.calibrate(films, coverage)


def chosen_on(model: ModelUnderTest, subject: Subject) -> bool:
    """Whether the subject are the films on which the model's thresholds are chosen: of the folds of
    a run those of their training, as each is predicted by a network that did not see it."""
    config = model.checkpoint["config"]
    return subject.own and subject.split in (trained_on(config) if config.get("folds") else ["val"])


def measured_sets(
    sets: PredictionSets, probabilities: np.ndarray, groups: dict[str, np.ndarray], truth: Truth
) -> dict:
    by_group = coverage_by_group(sets, probabilities, groups, *truth[:2])
    return measure_sets(sets, probabilities, *truth[:3]) | {"subgroups": youngest_first(by_group)}


def groups_in(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """By source, hospital, country, view and sex, as far as they are known, and by age."""
    names = ("source", "hospital", "country", "view", "sex")
    columns = {name: table[name].to_numpy() for name in names if name in table}
    return columns | {"age": table["age"].map(age_band).to_numpy()}


def youngest_first(groups: dict[str, dict]) -> dict[str, dict]:
    """Of the other columns the largest group comes first."""
    return groups | {"age": dict(sorted(groups["age"].items()))}


def shortcuts(metrics: dict, outputs: Outputs, sources: pd.Series, truth: Truth) -> dict:
    """Where the heat lies, what the features know, and what it all says of the model."""
    heat, known = None, {}
    if outputs.heat is not None:
        outside, grid = outside_box(outputs.heat), outputs.heat.shape[1:]
        heat = heat_outside_lungs(outside, grid, truth.patients, truth.seed)
    if outputs.features is not None:
        known = source_in_features(outputs.features, sources, *truth)
    found = {"probes": metrics["probes"], "heat maps": heat, "features": known}
    verdicts = judge(metrics, metrics["cheats"], metrics["probes"], heat, known)
    return {
        "heat_outside_lungs": heat,
        "source_in_features": known,
        "headline": headline(metrics, verdicts, [name for name in found if not found[name]]),
        "verdicts": [verdict.sentence for verdict in verdicts],
        "called_out": called_out(verdicts),
    }

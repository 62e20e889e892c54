"""A network that was trained to cheat is called out by the probes, and an honest one is not."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from data.dataset import RadiographDataset
from data.transforms import PLAIN, InputFormat
from model.inference import examine, predict_logits
from model.layers import Block, conv_bn
from tests.helpers.networks import MAPPING, TinyNext
from util.metrics.scores import evaluate_predictions
from util.metrics.within_source import within_source
from util.shortcuts.linear_probe import source_in_features
from util.shortcuts.probes import (
    BLURRED,
    LUNGS,
    PROBES,
    WITHOUT_BORDER,
    WITHOUT_CENTRE,
    outside_box,
)
from util.shortcuts.verdicts import called_out, headline, heat_outside_lungs, judge

GREYS = [0, 128, 255]
FORM = InputFormat((48, 48), **PLAIN)
CPU = torch.device("cpu")


class SmallNext(TinyNext):
    """Four convolutions: enough for phantoms, and trained in two seconds."""

    def __init__(self, n_classes):
        nn.Module.__init__(self)
        narrow, wide = [conv_bn(3, 16, 3), nn.MaxPool2d(2)], [conv_bn(16, 32, 3), nn.MaxPool2d(2)]
        self.block0 = Block(nn.Sequential(*narrow, *wide))
        self.backbone_end = Block(
            nn.Sequential(conv_bn(32, 64, 3), nn.MaxPool2d(2), conv_bn(64, 64, 3))
        )
        self.logits = Block(nn.Linear(64, n_classes))


# ---- Networks that were trained ----


class Images(NamedTuple):
    pixels: torch.Tensor  # (N, 1, 48, 48) uint8
    targets: torch.Tensor
    patients: np.ndarray
    sources: np.ndarray


@pytest.fixture(scope="module")
def plain(dataset):
    """The sample data by split, half of its patients in test."""
    parts = [RadiographDataset(dataset, split, MAPPING, FORM) for split in ("train", "val", "test")]
    pixels, targets = (
        torch.cat(column)
        for column in zip(*(part.__getitems__(range(len(part))) for part in parts), strict=True)
    )
    table = pd.concat([part.table for part in parts])
    patients, sources = table["patient_id"].to_numpy(), table["source"].to_numpy()
    in_test = np.unique(patients, return_inverse=True)[1] % 2 == 0
    return {
        name: Images(pixels[rows], targets[rows], patients[rows], sources[rows])
        for name, rows in (("train", ~in_test), ("test", in_test))
    }


@pytest.fixture(scope="module")
def painted(plain):
    """The same in which a thin frame, 3 of 48 pixels, has the grey of the class."""
    sets = {}
    for name, images in plain.items():
        pixels = torch.tensor(GREYS)[images.targets].byte().view(-1, 1, 1, 1).repeat(1, 1, 48, 48)
        pixels[..., 3:-3, 3:-3] = images.pixels[..., 3:-3, 3:-3]
        sets[name] = images._replace(pixels=pixels)
    return sets


def train(images, epochs=30, rate=2e-3):
    torch.manual_seed(0)
    network = SmallNext(3).train()
    optimizer = torch.optim.AdamW(network.parameters(), rate)
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = rate * (1 - epoch / epochs)
        for batch in torch.randperm(len(images.pixels)).chunk(-(-len(images.pixels) // 16)):
            shown = images.pixels[batch]
            shown = FORM.normalise(shown if torch.rand(()) < 0.5 else shown.flip(3))
            loss = nn.functional.cross_entropy(network(shown), images.targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network


def probed(network, images):
    """What evaluation measures on the images, and what is said of it."""
    truth = images.targets.numpy(), images.patients, list(MAPPING)

    def score(logits):
        return evaluate_predictions(logits.softmax(1).numpy(), *truth, draws=100)

    seen = examine(network, [images.pixels], CPU, FORM.normalise)
    probes = {
        name: score(predict_logits(network, [probe.change(images.pixels)], CPU, FORM.normalise))
        for name, probe in PROBES.items()
    }
    shares = outside_box(seen.heat.numpy())
    heat = heat_outside_lungs(shares, tuple(seen.heat.shape[1:]), images.patients)
    known = source_in_features(seen.features.numpy(), images.sources, *truth)
    within = within_source(seen.logits.softmax(1).numpy(), images.sources, *truth)
    metrics = score(seen.logits) | {"within_source": within}
    return metrics, heat, judge(metrics, {}, probes, heat, known)


def test_a_network_that_reads_a_painted_border_is_called_out(painted):
    metrics, heat, found = probed(train(painted["train"]), painted["test"])
    assert metrics["accuracy"]["value"] > 0.9  # a score to be proud of
    assert called_out(found) == [WITHOUT_CENTRE, WITHOUT_BORDER]
    assert headline(metrics, found)["sentence"].startswith("Called out: with the lungs blacked out")
    assert "reads off the border" in found[1].sentence
    assert heat["low"] > LUNGS.outside


def test_an_honest_network_is_not_called_out(plain):
    metrics, heat, found = probed(train(plain["train"]), plain["test"])
    assert metrics["accuracy"]["value"] > 0.8
    assert called_out(found) == []
    assert headline(metrics, found)["state"] == "not called out"
    assert heat["high"] < LUNGS.outside


# ---- Tables of numbers, and what is said of them ----


def entry(value, half=0.05):
    return {"value": value, "low": value - half, "high": value + half}


def scores(auroc, accuracy=0.5, half=0.05):
    return {"macro_auroc": entry(auroc, half), "accuracy": entry(accuracy, half)}


MODEL = {**scores(0.9, 0.8), "confusion_matrix": [[30, 5, 5], [5, 20, 5], [5, 5, 20]]}
MODEL["within_source"] = {"macro_auroc": entry(0.7)}
HEAT = {**entry(0.2), "box_outside": 0.31, "grid": [8, 8]}
SOURCE = {"normal": {"auroc": entry(0.8)}, "COVID-19": {"auroc": dict.fromkeys(entry(0))}}


def verdict(name, centre=0.5, border=0.85, blur=0.8, **changed):
    """What `judge` says under this name of a model that is honest but for the given numbers."""
    given = {"metrics": MODEL, "cheats": {}, "heat": HEAT, "source_in_features": SOURCE, **changed}
    probes = {WITHOUT_CENTRE: scores(centre), WITHOUT_BORDER: scores(border), BLURRED: scores(blur)}
    return {one.probe: one for one in judge(probes=probes, **given)}[name]


@pytest.mark.parametrize(
    ("centre", "border", "expected"),
    [
        (0.50, 0.85, []),  # honest
        (0.58, 0.85, []),  # its interval has guessing less what is spared
        (0.65, 0.85, [WITHOUT_CENTRE]),  # knows more than it can without the lungs
        (0.90, 0.50, [WITHOUT_CENTRE, WITHOUT_BORDER]),
        (0.90, 0.75, [WITHOUT_CENTRE, WITHOUT_BORDER]),  # knows the lungs, and the border better
        (0.90, 0.85, [WITHOUT_CENTRE]),  # knows both alike
        (0.50, 0.50, []),  # does not stand the black
        (0.40, 0.30, []),
    ],
)
def test_what_calls_out(centre, border, expected):
    probes = {WITHOUT_CENTRE: scores(centre), WITHOUT_BORDER: scores(border), BLURRED: scores(0.8)}
    assert called_out(judge(MODEL, {}, probes, HEAT, SOURCE)) == expected


def test_a_trace_in_a_large_test_calls_nobody_out():
    probes = {name: scores(0.53, half=0.005) for name in (WITHOUT_CENTRE, WITHOUT_BORDER, BLURRED)}
    assert called_out(judge(MODEL, {}, probes, HEAT, SOURCE)) == []
    probes[WITHOUT_CENTRE] = scores(0.56, half=0.005)
    assert called_out(judge(MODEL, {}, probes, HEAT, SOURCE))[0] == WITHOUT_CENTRE


@pytest.mark.parametrize(
    ("within", "sentence"),
    [
        (
            entry(0.7),
            "Between images of one source the model has an AUROC of 0.70 (0.65 to 0.75); over all"
            " images 0.90.",
        ),
        (
            entry(0.54),
            "Between images of one source the model has an AUROC of 0.54 (0.49 to 0.59), which is"
            " not shown to be better than guessing, 0.50; over all images 0.90.",
        ),
        (
            dict.fromkeys(entry(0)),
            "No source has images of two classes: what the model knows of the source counts in"
            " every number here.",
        ),
    ],
)
def test_what_is_left_within_a_source_is_said_first(within, sentence):
    probes = dict.fromkeys((WITHOUT_CENTRE, WITHOUT_BORDER, BLURRED), scores(0.5))
    metrics = MODEL | {"within_source": {"macro_auroc": within}}
    first, *_ = judge(metrics, {}, probes, HEAT, SOURCE)
    assert (first.sentence, first.called_out) == (sentence, False)


def test_numbers_stand_in_the_sentence():
    assert verdict(WITHOUT_CENTRE, centre=0.75).sentence == (
        "With the lungs blacked out the model names 50 % (45 - 55) of the images right, AUROC 0.75"
        " (0.70 to 0.80); guessing reaches 40 % and 0.50. That much it reads off the border."
    )


def test_who_falls_without_the_border_is_not_accused_for_that_alone():
    found = verdict(WITHOUT_BORDER, border=0.5)
    assert not found.called_out
    assert "it may need the border, or be confused by the black" in found.sentence
    assert "What is left suffices" in verdict(WITHOUT_BORDER, border=0.85).sentence


def test_maps_and_features_point_but_call_nobody_out():
    away = {**HEAT, **entry(0.6)}
    found = verdict("heat outside the lungs", heat=away)
    assert "points away from the lungs" in found.sentence
    assert not found.called_out
    assert "points away" not in verdict("heat outside the lungs").sentence
    coarse = verdict("heat outside the lungs", heat={**away, "grid": [3, 3]})
    assert "3 x 3 cells that says little" in coarse.sentence
    known = verdict("source in the features of normal")
    assert "the features know the source" in known.sentence
    assert not known.called_out
    unsure = {"normal": {"auroc": entry(0.53)}}
    assert "are not shown to know" in (
        verdict("source in the features of normal", source_in_features=unsure).sentence
    )


def cheat(**lead):
    return {"accuracy": entry(0.67), "lead": {name: entry(value) for name, value in lead.items()}}


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        ({"accuracy": 0.2, "macro_f1": 0.3}, "the model is ahead in accuracy and macro F1."),
        (
            {"accuracy": 0.04, "macro_f1": 0.3},
            "the model is ahead in macro F1, and not shown to be in accuracy.",
        ),
        ({"accuracy": -0.1, "macro_f1": 0.04}, "the model is not shown to know more."),
    ],
)
def test_the_source_alone_is_beaten_where_the_paired_difference_is_above_0(lead, said):
    found = verdict("the source alone", cheats={"the source alone": cheat(**lead)})
    assert said in found.sentence
    assert not found.called_out
    assert f"accuracy {lead['accuracy']:.2f} (" in found.sentence


def test_of_a_model_that_guesses_the_probes_say_nothing():
    guesses = {**MODEL, **scores(0.52, 0.4)}
    probes = {WITHOUT_CENTRE: scores(0.9), WITHOUT_BORDER: scores(0.5), BLURRED: scores(0.8)}
    found = judge(guesses, {"the source alone": cheat(accuracy=0.1)}, probes, HEAT, SOURCE)
    assert not {WITHOUT_CENTRE, WITHOUT_BORDER, BLURRED} & {one.probe for one in found}
    assert headline(guesses, found)["state"] == "not tested"
    assert "not shown to be better than guessing" in headline(guesses, found)["sentence"]
    hardly = {**MODEL, **scores(0.56, 0.4)}  # the interval is above 0.5
    assert headline(hardly, judge(hardly, {}, probes, HEAT, SOURCE))["state"] == "called out"


def test_what_is_undefined_is_not_tested():
    nothing = {**scores(0.5), "macro_auroc": dict.fromkeys(entry(0))}
    probes = dict.fromkeys((WITHOUT_CENTRE, WITHOUT_BORDER, BLURRED), nothing)
    one_class = {**MODEL, **nothing}
    empty = {**HEAT, **dict.fromkeys(entry(0))}
    found = judge(one_class, {}, probes, empty, {})
    assert found == []
    assert headline(one_class, found)["state"] == "not tested"
    assert "images of one class only" in headline(one_class, found)["sentence"]


# ---- The share of heat ----


def test_the_mean_share_has_an_interval_over_patients():
    shares = np.array([0.1] * 10 + [0.5, 0.3, np.nan])
    patients = ["long stay"] * 10 + ["b", "c", "d"]
    found = heat_outside_lungs(shares, (8, 8), patients)
    assert found["value"] == pytest.approx(1.8 / 12)
    # Single images would have left the mean between 0.1 and 0.25.
    assert (found["low"], found["high"]) == pytest.approx((0.1, 0.5))
    assert found["maps"] == 12
    assert "coarse" not in found["how"]


def test_no_heat_at_all_is_undefined_and_coarse_maps_are_called_so():
    found = heat_outside_lungs(np.array([np.nan, np.nan]), (3, 3), ["a", "b"])
    assert [found[key] for key in ("value", "low", "high", "maps")] == [None, None, None, 0]
    assert "3 x 3 cells, too coarse" in found["how"]

"""The networks of the folds of a run, as one."""

import numpy as np
import pandas as pd
import pytest
import torch

import model.weights
from model.covidnext50 import pool
from model.ensemble import MedianDistance
from model.mahalanobis import Mahalanobis
from model.predictor import Predictor
from model.torch_runtime import load
from tests.helpers.networks import CLASSES, TinyNext, input_form, save_folds
from util.metrics.probabilities import tempered
from util.model_file import short_hash

TEMPERATURES = (0.5, 1.0, 2.0)
PIXELS = torch.randint(0, 256, (7, 1, 32, 48), dtype=torch.uint8)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder of three folds that have ended, to be run in float32."""
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    monkeypatch.setattr("util.device._native_bfloat16", lambda device: False)
    return save_folds(tmp_path / "r", input_form((32, 48)), TEMPERATURES)


def singles(run):
    return [load(run / f"fold-{k}/best.pth", "cpu", torch.float32)[1] for k in (1, 2, 3)]


def change(path, **fields):
    content = torch.load(path, weights_only=True)
    torch.save(content | fields, path)


def test_it_says_the_mean_of_the_tempered_logits_and_has_all_features(run):
    predictor = Predictor.load(run, "cpu")
    seen, each = predictor.examine([PIXELS]), [one.examine([PIXELS]) for one in singles(run)]
    tempered = [one.logits / t for one, t in zip(each, TEMPERATURES, strict=True)]
    np.testing.assert_allclose(seen.logits, np.mean(tempered, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        seen.features, np.hstack([one.features for one in each]), rtol=1e-4, atol=1e-5
    )
    assert predictor.checkpoint["temperature"] == 1
    assert predictor.checkpoint["parameters"] == 3 * sum(
        p.numel() for p in TinyNext(3).parameters()
    )
    assert predictor.checkpoint["prior"] == pytest.approx([0.2, 0.3, 0.5])
    assert predictor.checkpoint["sources"] == {"near": 200}
    (before,) = predictor.checkpoint["started_from"]
    assert (before["sources"], before["fold"]) == ({"far": 2}, None)
    assert before["config"] == {"epochs": 9}


def test_its_thresholds_are_chosen_on_what_each_network_says_of_images_that_it_held_out(run):
    assert Predictor.load(run, "cpu").validation is None  # where out_of_fold.csv is not there yet
    logits = np.random.default_rng(0).normal(size=(4, 3))
    table = pd.DataFrame(logits, columns=[f"logit({name})" for name in CLASSES])
    table["label"] = ["pneumonia", "normal", "COVID-19", "normal"]
    table["patient_id"], table["fold"] = ["s:b", "s:a", "s:b", "s:c"], [1, 2, 1, 3]
    table.to_csv(run / "out_of_fold.csv", index=False)
    found = Predictor.load(run, "cpu").validation
    np.testing.assert_allclose(found.probabilities, tempered(logits, 1), rtol=1e-12)
    assert found.targets.tolist() == [1, 0, 2, 0]
    assert found.patients.tolist() == [0, 1, 0, 2]


def test_its_heat_is_grad_cam_of_the_mean_by_autograd(run):
    maps, logits = [], 0
    for one, temperature in zip(singles(run), TEMPERATURES, strict=True):
        own = one.network.maps(one.form.normalise(PIXELS)).detach().requires_grad_()
        maps.append(own)
        logits = logits + one.network.logits(pool(own)) / temperature / 3
    slopes = torch.autograd.grad(logits.max(1).values.sum(), maps)
    parts = [
        (slope.mean((2, 3), keepdim=True) * own).sum(1)
        for slope, own in zip(slopes, maps, strict=True)
    ]
    heat = torch.stack(parts).sum(0).relu().detach()
    seen = Predictor.load(run, "cpu").examine([PIXELS])
    np.testing.assert_allclose(seen.heat, heat, rtol=1e-3, atol=1e-6)


def test_it_has_the_name_and_the_hash_of_its_folds(run):
    before = Predictor.load(run, "cpu")
    files = [run / f"fold-{k}/best.pth" for k in (1, 2, 3)]
    assert before.name == f"r@{short_hash(*files)}"
    assert (before.path, before.home) == (str(run), run)
    assert before.checkpoint["config"]["name"] == "r"
    change(files[2], temperature=3.0)
    assert Predictor.load(run, "cpu").name != before.name
    assert Predictor.load(files[0], "cpu").home == files[0].parent


@pytest.mark.parametrize(
    ("doubting", "far"), [((), False), ((1,), False), ((0, 2), True), ((0, 1, 2), True)]
)
def test_an_image_is_doubted_if_most_of_the_networks_doubt_it(doubting, far):
    around = [Mahalanobis.around(torch.randn(50, 4)) for _ in range(3)]
    parts = [Mahalanobis(**vars(one) | {"limit": 5.0, "share": 0.99}) for one in around]
    near = torch.cat([one.mean for one in around])
    for k in doubting:
        near[4 * k : 4 * k + 4] += 100
    joint = MedianDistance.of(parts)
    assert (joint.distance(near[None]) > joint.limit).tolist() == [far]
    assert joint.share == 0.99
    assert MedianDistance.of([*parts[:2], None]) is None


def test_edges_of_an_image_are_the_same_for_all_networks():
    parts = [Mahalanobis(**vars(Mahalanobis.around(torch.randn(50, 4))) | {"limit": 2.0})] * 3
    points = torch.randn(6, 4)
    torch.testing.assert_close(
        MedianDistance.of(parts).distance(points), parts[0].distance(points) / 2
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "r: found 2 of 3 folds that have ended; .* --name r --resume"),
        ({"validation": None}, "r: found 2 of 3 folds that have ended"),
        ({"mapping": {"a": 0, "b": 1, "c": 2}}, "r: found another mapping in r/fold-2 than in r/f"),
        ({"fingerprint": "y"}, "r: found another fingerprint in r/fold-2 than"),
        ({"test_time_augmentation": True}, "r: found another test_time_augmentation in r/fold-2"),
        ({"config": {"fold": "2/5"}}, "r: found networks of the folds 1/3, 2/5, 3/3; expected"),
        ({"config": {"fold": "1/3"}}, "r: found networks of the folds 1/3, 1/3, 3/3; expected"),
        ({"config": {"name": "of no run"}}, "r: found networks of the folds 1/3, None, 3/3; exp"),
    ],
)
def test_folds_that_lack_one_or_are_of_two_runs_are_one_line(run, changes, message):
    second = run / "fold-2/best.pth"
    change(second, **changes) if changes else second.unlink()
    with pytest.raises(ValueError, match=message):
        Predictor.load(run, "cpu")

"""export.py: one ONNX file that predicts what its checkpoint predicts, or none."""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import export
import model.weights
from data.inputs import read_ahead
from data.transforms import InputFormat
from minimal_prediction import load, predict
from model.gate import Gate
from model.prediction import look_at
from tests.conftest import run_script
from tests.helpers.networks import CLASSES, TinyNext, input_form, save_network
from tests.helpers.paths import ROOT
from util.files import short_hash

SIZE = (64, 48)
PRIOR = [0.5, 0.3, 0.2]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)


@pytest.fixture(scope="module")
def films(dataset):
    """As they are, turned, inverted, blank: some are doubted."""
    return sorted((dataset / "test").glob("*.png"))


@pytest.fixture(scope="module", params=[False, True], ids=["once", "augmented"])
def run(request, dataset, tmp_path_factory):
    """A folder with best.pth, and best.onnx and best-int8.onnx of it."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    network, form = TinyNext(3), InputFormat.of(input_form(SIZE))
    pixels = np.stack([form.read(file) for file in sorted((dataset / "train").glob("*.png"))])
    images = form.normalise(torch.from_numpy(pixels))
    with torch.no_grad():
        network.train()(images)  # statistics for its BatchNorm
        features = network.eval().features(images)
        head = network.logits.module
        head.weight.normal_(std=3 / features.std(0).norm())
        head.bias.copy_(-head.weight @ features.mean(0))
    about = json.loads((dataset / "dataset.json").read_text())
    save_network(
        folder / "best.pth",
        network,
        input_form(SIZE),
        config={"name": "a", "dataset": str(dataset)},
        fingerprint=about["fingerprint"],
        prior=PRIOR,
        temperature=1.5,
        test_time_augmentation=request.param,
        gate=Gate.fit(pixels, features).state(),
        validation={"logits": torch.eye(3), "targets": [0, 1, 2]},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.weights, "COVIDNext50", TinyNext)
        run_script(export, folder / "best.pth")
        run_script(export, folder / "best.pth", "--precision", "int8")
    return folder


def test_x(run):
    print(list(run.iterdir()))

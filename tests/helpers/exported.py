"""A tiny network of the small dataset, and what export.py makes of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import export
import model.weights
from data.transforms import InputFormat
from model.gate import Gate
from tests.conftest import run_script
from tests.helpers.networks import TinyNext, input_form, save_network

FORM = input_form((64, 48), fit="pad")
PRIOR = [0.5, 0.3, 0.2]
# Precision, test-time augmentation, and the largest difference of a probability.
KINDS = {"float32": (True, 1e-5), "int8": (False, 0.03), "int4": (False, 0.15)}


def write_exports(folder: Path, dataset: Path) -> None:
    """PRECISION/best.pth and best.onnx for each of KINDS."""
    form = InputFormat.of(FORM)
    pixels = np.stack([form.read(file) for file in sorted((dataset / "train").glob("*.png"))])
    pixels = np.concatenate([pixels, pixels[..., ::-1]])  # enough for both parts of the gate
    images = form.normalise(torch.from_numpy(pixels))
    for precision, (augmented, _) in KINDS.items():
        (folder / precision).mkdir(parents=True)
        torch.manual_seed(0)
        network = TinyNext(3)
        network(images)  # for the statistics of its BatchNorm
        with torch.no_grad():
            features = network.eval().features(images)
            head = network.logits.module
            head.weight.normal_(std=3 / features.std(0).norm())
            head.bias.copy_(-head.weight @ features.mean(0))
        about = json.loads((dataset / "dataset.json").read_text())
        more = {
            "config": {"name": "a", "dataset": str(dataset)},
            "fingerprint": about["fingerprint"],
            "prior": PRIOR,
            "temperature": 1.5,
            "test_time_augmentation": augmented,
            "gate": Gate.fit(pixels, features).state(),
            "validation": {"logits": torch.eye(3), "targets": [0, 1, 2], "patients": [0, 1, 2]},
        }
        path = save_network(folder / precision / "best.pth", network, FORM, **more)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model.weights, "COVIDNext50", TinyNext)
            if precision == "int4":  # a few channels make up for less than a thousand
                patch.setitem(export.LARGEST, precision, KINDS[precision][1])
            out = path.with_suffix(".onnx")
            run_script(export, path, "--precision", precision, "--out", out)

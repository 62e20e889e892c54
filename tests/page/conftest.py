"""A small network behind the page."""

import pytest
import torch
from starlette.testclient import TestClient

import model.weights
from model.predictor import Predictor
from page.app import make_app
from tests.helpers.networks import TinyNext, input_form, save_network

MOST_BYTES = 3_000_000


@pytest.fixture
def predictor(tmp_path, monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    torch.manual_seed(0)
    form = input_form((32, 32), fit="crop")
    logits = torch.randn(60, 3) + 0.5 * torch.eye(3).repeat(20, 1)
    more = {"prior": [0.2, 0.3, 0.5], "temperature": 1.5}
    more["validation"] = {
        "logits": logits, "targets": [0, 1, 2] * 20, "patients": [*range(60)],
    }  # fmt: skip
    path = save_network(tmp_path / "best.pth", TinyNext(3), form, **more)
    return Predictor.load(path, "cpu")


@pytest.fixture
def client(predictor):
    app = make_app(predictor, {"127.0.0.1"}, MOST_BYTES)
    return TestClient(app, "http://localhost:8000", raise_server_exceptions=False)

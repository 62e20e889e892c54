"""model.predictor: everything that a checkpoint says, ready to be asked."""

import numpy as np
import pytest
import torch

import model.weights
from model.predictor import Predictor
from model.torch_runtime import load
from tests.helpers.networks import CLASSES, TinyNext, input_form, save_network
from util.metrics.probabilities import tempered, to_prevalence
from util.model_file import short_hash


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Writes a checkpoint with these fields."""
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    torch.manual_seed(0)
    network = TinyNext(3)
    return lambda **more: save_network(tmp_path / "best.pth", network, input_form((32, 48)), **more)


def test_it_has_what_the_checkpoint_says(save):
    path = save(temperature=2.0, fingerprint="abc")
    predictor = Predictor.load(path, "cpu")
    assert predictor.name == f"best.pth@{short_hash(path)}"
    assert (predictor.path, predictor.classes) == (str(path), CLASSES)
    assert predictor.form.size == (32, 48)
    assert not predictor.gate.learned
    assert predictor.checkpoint["fingerprint"] == "abc"
    assert "state_dict" not in predictor.checkpoint  # twice the memory for nothing


def test_parameters_are_counted_as_they_were_trained_without_running_statistics(save):
    network = TinyNext(3)
    wanted = sum(tensor.numel() for tensor in network.parameters())
    assert Predictor.load(save(), "cpu").checkpoint["parameters"] == wanted


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_network_runs_in_the_dtype_that_is_asked_for(save, dtype):
    path = save()
    predictor = Predictor.of(path, *load(path, "cpu", dtype))
    assert predictor.runtime.network.block0.module[0][0].weight.dtype == dtype
    pixels = torch.randint(0, 256, (5, 1, 32, 48), dtype=torch.uint8)
    examined = predictor.examine(pixels.split(2))
    assert examined.logits.shape == (5, 3)
    assert {values.dtype for values in examined} == {np.dtype(np.float32)}


def test_a_scorer_moves_the_tempered_probabilities_to_the_population(save):
    predictor = Predictor.load(save(temperature=2.0, prior=[0.5, 0.25, 0.25]), "cpu")
    logits = np.array([[1.0, 0.0, 0.5], [0.0, 3.0, 1.0]])
    plain = predictor.scorer(None)(logits)
    assert plain == pytest.approx(tempered(logits, 2.0))
    shares = dict(zip(reversed(CLASSES), (0.8, 0.15, 0.05), strict=True))
    moved = predictor.scorer(shares)(logits)
    assert moved == pytest.approx(to_prevalence(plain, [0.5, 0.25, 0.25], [0.05, 0.15, 0.8]))


def test_a_scorer_without_a_prior_says_so(save):
    with pytest.raises(ValueError, match=r"best\.pth: no prior in it to start from"):
        Predictor.load(save(), "cpu").scorer(dict.fromkeys(CLASSES, 1 / 3))

"""--distil: a network learns the labels, and what others say that never saw the image."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from util.distributed import Ranks
from util.training.distillation import TEACHER, soft_targets, teachers_probabilities
from util.training.loss import batch_loss

WEIGHTS = np.array([0.5, 1.0, 3.0])
CLASSES = ["a", "b", "c"]


@pytest.fixture
def run(tmp_path):
    """A run whose folds have ended."""
    table = pd.DataFrame({"filename": ["1.png", "2.png", "3.png"], "fold": [2, 1, 2]})
    table[[f"p({name})" for name in CLASSES]] = np.eye(3) * 0.7 + 0.1
    table.to_csv(tmp_path / "out_of_fold.csv", index=False)
    about = {"classes": CLASSES, "fingerprint": "x", "leave_out": ["far"]}
    (tmp_path / "folds.json").write_text(json.dumps(about))
    return tmp_path


def test_a_teacher_speaks_of_each_image_by_its_name(run):
    said = teachers_probabilities(run, CLASSES, "x", ["far"]).loc[["3.png", "1.png"]]
    np.testing.assert_array_equal(said, (np.eye(3) * 0.7 + 0.1)[[2, 0]])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((["a", "b"], "x"), "found classes a, b, c; expected those of --mapping, a, b"),
        ((CLASSES, "y", ["far"]), "trained on other images; expected a run on this --dataset"),
        ((CLASSES, "x", ["near"]), "its training left out far; expected near, as here"),
        ((CLASSES, "x"), "its training left out far; expected no source, as here"),
    ],
)
def test_a_run_that_cannot_teach_is_one_line(run, words, message):
    with pytest.raises(ValueError, match=f"{run}: {message}"):
        teachers_probabilities(run, *words)


def test_a_run_without_folds_cannot_teach(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folds\.json in it; expected the folder of"):
        teachers_probabilities(tmp_path, CLASSES, "x")


def test_a_target_is_part_label_and_part_teacher_and_weighs_as_its_class():
    said = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    found = soft_targets(said, [0, 2], WEIGHTS, 0.0).numpy()
    assert found[0] == pytest.approx(0.5 * (TEACHER * said[0] + (1 - TEACHER) * np.eye(3)[0]))
    assert found.sum(1) == pytest.approx(WEIGHTS[[0, 2]])


@pytest.mark.parametrize("weights", [WEIGHTS, np.ones(3)])
def test_a_teacher_that_repeats_the_label_gives_the_loss_of_the_label(weights):
    logits, targets = torch.randn(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    soft = soft_targets(np.eye(3)[targets], targets.tolist(), weights, 0.0)
    costs = torch.tensor(weights, dtype=torch.float32)
    hard, mixed = (batch_loss(logits, t, costs, 0.0, Ranks()) for t in (targets, soft))
    torch.testing.assert_close(mixed.mean, hard.mean)
    torch.testing.assert_close(mixed.to_backward, hard.to_backward)

"""How far a run has come, and at which step its loss or its weights stopped being finite."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from util.training.progress import Progress
from util.training.state import Training
from util.words import SCORES


def test_the_progress_of_a_run_that_goes_on_is_that_of_one_that_never_stopped():
    def epoch(progress, losses):
        for loss in losses:
            progress.count(torch.tensor(loss))

    whole = Progress.start(torch.device("cpu"))
    assert (whole.best, whole.metrics, whole.epoch) == (None, {}, 0)
    epoch(whole, [1.0, 2.0])
    assert whole.end_epoch({"macro_f1": 0.5, "loss": 1.0}, [[1]], lr=0.1)
    epoch(whole, [3.0, 4.0])
    state = deepcopy({"step": whole.step, **whole.state_dict()})
    again = Progress.start(torch.device("cpu"))
    again.load_state_dict(state)
    assert again == whole
    for progress in (whole, again):
        epoch(progress, [8.0])
        assert not progress.end_epoch({"macro_f1": 0.4, "loss": 2.0}, [[2]], lr=0.2)
        assert (progress.step, progress.batches, progress.epoch, progress.best) == (5, 0, 2, 0.5)
        assert progress.metrics == {"macro_f1": 0.4, "loss": 2.0}
        assert progress.history[1] == {
            "epoch": 2, "train_loss": 5.0, "lr": 0.2, "val_macro_f1": 0.4, "val_loss": 2.0,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "age"), [([0.5], 0), ([0.5, 0.5], 1), ([0.5, 0.4, 0.6], 0), ([0.6, 0.4, 0.5], 2)]
)
@pytest.mark.parametrize("choose", SCORES)
def test_the_best_epoch_is_the_first_of_the_best(choose, scores, age):
    """Of the score that chooses, the others fall from epoch to epoch; a loss is the lower the
    better."""
    progress = Progress.start(torch.device("cpu"), choose)
    values = [1 - score for score in scores] if choose == "loss" else scores
    for epoch, value in enumerate(values):
        progress.count(torch.tensor(1.0))
        others = dict.fromkeys(SCORES, 0.9 - epoch) | {"loss": 1.0 + epoch}
        is_best = progress.end_epoch(others | {choose: value}, [])
    assert (progress.age_of_best, is_best) == (age, age == 0)
    assert progress.best == values[len(values) - 1 - age]
    words = f"best validation {SCORES[choose]} so far: {progress.best:.3f}, of epoch"
    assert progress.best_so_far().startswith(f"{words} {len(scores) - age};")


def test_what_a_run_that_ends_early_leaves_is_said():
    progress = Progress.start(torch.device("cpu"))
    assert progress.best_so_far() == "best validation macro F1 so far: none yet, and no best.pth"
    for score in (0.4, 0.5, 0.5):
        progress.count(torch.tensor(1.0))
        progress.end_epoch({"macro_f1": score}, [])
    assert progress.best_so_far().startswith(
        "best validation macro F1 so far: 0.500, of epoch 2; its"
    )


def state_of(model):
    """Of a run whose 12 steps had finite losses."""
    progress = Progress.start(torch.device("cpu"))
    for _ in range(12):
        progress.count(torch.tensor(1e30))
    return Training(model, *[None] * 5, progress, {}, auto_precision=False)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_step_whose_loss_is_not_finite_stops_the_run(bad):
    state = state_of(nn.Linear(2, 2))
    for loss in (bad, 1.0, bad):
        state.progress.count(torch.tensor(loss))
    with pytest.raises(ValueError, match="step 13: the loss is not finite; lower --lr"):
        state.check()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_weights_whose_sum_of_squares_is_not_finite_stop_the_run(bad):
    model = nn.Sequential(nn.Linear(9, 9), nn.BatchNorm1d(9))
    model[0].weight.data.fill_(1e15)
    state_of(model).check_weights()
    model[1].running_mean[2] = bad
    with pytest.raises(ValueError, match="step 12: the loss is not finite"):
        state_of(model).check_weights()

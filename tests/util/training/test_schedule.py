"""When the learning rate changes."""

import pytest
import torch
from torch import nn

from util.training.optimizer import make_optimizer
from util.training.schedule import cosine_schedule, plateau_schedule
from util.training.step import Descent


@pytest.fixture
def optimizer():
    return make_optimizer(nn.Linear(4, 3), "adamw", 0.1, 0.0)


def rates(descent, steps, scores):
    """The rate of the last of so many steps, in epochs that end with these scores."""
    found = []
    weight = descent.parameters[0]
    for score in scores:
        for _ in range(steps):
            descent.step(weight.sum())
        found.append(descent.rate)
        descent.end_epoch(score)
    return found


def test_cosine_goes_on_at_each_step(optimizer):
    descent = Descent(optimizer, cosine_schedule(optimizer, 4, 1))
    assert rates(descent, 1, [0.0] * 4) == pytest.approx([0.05, 0.1, 0.075, 0.025])


def test_plateau_goes_on_at_each_epoch(optimizer):
    descent = Descent(optimizer, plateau_schedule(optimizer, 0.5, 0))
    assert rates(descent, 3, (0.5, 0.5, 0.6, 0.6)) == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_plateau_waits_for_its_patience(optimizer):
    descent = Descent(optimizer, plateau_schedule(optimizer, 0.5, 1))
    wanted = [0.1, 0.1, 0.1, 0.05, 0.05, 0.025]
    assert rates(descent, 1, [0.5] * 6) == pytest.approx(wanted)


def test_a_warm_up_that_is_longer_than_the_run_is_reported(caplog):
    weight = torch.nn.Parameter(torch.ones(1))
    cosine_schedule(torch.optim.SGD([weight]), steps=10, warmup_steps=10)
    assert not caplog.messages
    cosine_schedule(torch.optim.SGD([weight]), steps=10, warmup_steps=11)
    assert caplog.messages == [
        "warmup_epochs: longer than the run, so that the rate rises to its last step"
    ]

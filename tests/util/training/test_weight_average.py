"""The running average of weights: what stays of it at each step."""

import pytest
from torch import nn

from util.training.weight_average import RunningAverage


def test_a_running_average_of_a_network_without_batchnorm():
    layer = nn.Linear(1, 1)
    average = RunningAverage(layer, 0.5)
    first = layer.weight.item()
    layer.weight.data.fill_(first + 2)
    average.update(100)
    assert average.model.weight.item() == pytest.approx(first + 1)


# Weights 1, 2, 3, 4 after four steps of a model that began at 10. What stays is 1/10, 2/11, 3/12,
# 4/13, or the decay if that is less: 10 / 10 + 9 / 10 * 1 = 1.9, then 2 / 11 * 1.9 + 9 / 11 * 2 ...
@pytest.mark.parametrize(
    ("decay", "expected"),
    [(0.99, [1.9, 1.98182, 2.74545, 3.61399]), (0.1, [1.9, 1.99, 2.899, 3.8899])],
)
def test_a_running_average_forgets_its_first_steps_then_keeps_to_its_decay(decay, expected):
    layer = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    layer[0].weight.data.fill_(10)
    average = RunningAverage(layer, decay)
    for step, wanted in enumerate(expected, start=1):
        layer[0].weight.data.fill_(step)
        layer[1].running_var.fill_(2 * step)
        layer[1].num_batches_tracked.fill_(step)
        average.update(step)
        assert average.model[0].weight.item() == pytest.approx(wanted, abs=1e-5)
        assert average.model[1].num_batches_tracked == step
    assert average.model[1].running_var.item() != 2 * len(expected)
    assert layer[0].weight.item() == len(expected)


@pytest.mark.parametrize("decay", [0.99, 0.1, 0])
def test_a_share_of_the_start_stays_in_the_average_for_good(decay):
    plain, kept = (nn.Linear(1, 1, bias=False) for _ in range(2))
    for layer in (plain, kept):
        layer.weight.data.fill_(10)
    mean, held = RunningAverage(plain, decay), RunningAverage(kept, decay, keep=0.25)
    for step in range(1, 5):
        for layer in (plain, kept):
            layer.weight.data.fill_(step)
        mean.update(step)
        held.update(step)
        wanted = 0.25 * 10 + 0.75 * mean.model.weight.item()
        assert held.model.weight.item() == pytest.approx(wanted, abs=1e-5)
    assert kept.weight.item() == 4  # what is trained is not held

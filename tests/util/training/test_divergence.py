"""The step at which the loss or the weights stopped being finite."""

import pytest
import torch

from util.training.divergence import DivergenceWatch


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_step_whose_loss_is_not_finite_is_known(bad):
    watch = DivergenceWatch(torch.device("cpu"))
    for step, loss in enumerate([1.0, 2.0, bad, 1.0, bad], start=11):
        watch.see(torch.tensor(loss), step)
    assert watch.first_bad() == 13


def test_finite_numbers_pass():
    watch = DivergenceWatch(torch.device("cpu"))
    watch.see(torch.tensor(1e30), 1)
    watch.see(1e30, 2)
    watch.see_weights([torch.full((9,), 1e15), torch.zeros(3, 3)], 3)
    assert watch.first_bad() == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_weights_whose_sum_of_squares_is_not_finite_are_known(bad):
    watch = DivergenceWatch(torch.device("cpu"))
    watch.see_weights([torch.ones(3), torch.tensor([0.0, bad])], 7)
    assert watch.first_bad() == 7


def test_a_check_is_due_every_so_many_steps():
    watch = DivergenceWatch(torch.device("cpu"), every=3)
    assert [step for step in range(1, 8) if watch.due(step)] == [3, 6]

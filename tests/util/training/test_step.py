"""The steps that weights take: torch's, clipped, scaled, and the same after an interruption."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from util.training.optimizer import make_optimizer
from util.training.schedule import cosine_schedule, plateau_schedule
from util.training.step import Descent


def descent(schedule=None, clip_norm=None, kind="adamw", lr=0.1, scaled=False):
    """Of a linear layer that starts the same each time."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3)
    optimizer = make_optimizer(layer, kind, lr, 0.01)
    schedule = (schedule or (lambda o: plateau_schedule(o, 0.5, 0)))(optimizer)
    return layer, Descent(optimizer, schedule, clip_norm, scaled)


def fall(layer, steps, taken, times=1.0):
    images = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(taken):
        steps.step(times * layer(images).square().mean())


def test_a_step_is_torchs_and_leaves_no_gradient():
    layer, steps = descent()
    torch.manual_seed(0)
    other = nn.Linear(4, 3)
    groups = [{"params": [other.weight], "weight_decay": 0.01}, {"params": [other.bias]}]
    optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.0, fused=True)
    images = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        fall(layer, steps, 1)
        optimizer.zero_grad()
        other(images).square().mean().backward()
        optimizer.step()
    assert torch.equal(layer.weight, other.weight)
    assert torch.equal(layer.bias, other.bias)
    assert layer.weight.grad is None


@pytest.mark.parametrize(("clip", "wanted"), [(None, 5.0), (1.0, 1.0), (10.0, 5.0)])
def test_a_gradient_longer_than_asked_is_shortened(clip, wanted):
    weight = nn.Parameter(torch.zeros(1, 2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    steps = Descent(optimizer, plateau_schedule(optimizer, 0.5, 0), clip)
    steps.step((weight * torch.tensor([3.0, 4.0])).sum())
    assert weight.detach().norm().item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("clip", [None, 0.01])
def test_a_scaled_loss_takes_the_step_of_the_loss(clip):
    """The gradient is scaled back before it is measured for clipping."""
    layer, steps = descent(clip_norm=clip, kind="adam")
    other, scaled = descent(clip_norm=clip, kind="adam", scaled=True)
    for one, its in ((layer, steps), (other, scaled)):
        one.weight.data.mul_(1e-3)  # so that gradients are of the size of Adam's epsilon
        its.optimizer.param_groups[0]["eps"] = 1e-2
        fall(one, its, 3)
    assert scaled.scaler.get_scale() > 1
    torch.testing.assert_close(other.weight, layer.weight, rtol=1e-5, atol=1e-7)


def test_a_scaled_step_whose_gradient_is_no_number_is_left_out_and_the_scale_is_lowered():
    layer, steps = descent(scaled=True)
    before, scale = layer.weight.clone(), steps.scaler.get_scale()
    fall(layer, steps, 1, times=float("inf"))
    assert torch.equal(layer.weight, before)
    assert steps.scaler.get_scale() < scale
    fall(layer, steps, 1)
    assert not torch.equal(layer.weight, before)


def test_steps_go_on_as_if_they_had_not_been_interrupted():
    whole, steps = descent(lambda optimizer: cosine_schedule(optimizer, 9, 3), clip_norm=0.5)
    fall(whole, steps, 3)
    weights, state = deepcopy([whole.state_dict(), steps.state_dict()])
    broken, again = descent(lambda optimizer: cosine_schedule(optimizer, 9, 3), clip_norm=0.5)
    broken.load_state_dict(weights)
    again.load_state_dict({"step": 3, **state})
    assert again.rate == steps.rate
    for layer, one in ((whole, steps), (broken, again)):
        fall(layer, one, 4)
    assert torch.equal(whole.weight, broken.weight)
    assert again.rate == steps.rate

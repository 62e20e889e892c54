"""Which weights an optimizer changes, and how."""

import torch
from torch import nn

from util.training.optimizer import make_optimizer
from util.training.schedule import plateau_schedule
from util.training.step import Descent


def test_biases_are_not_decayed_and_frozen_weights_stay():
    layer = nn.Linear(4, 3)
    layer.bias.data.fill_(1)
    layer.weight.requires_grad = False
    before = layer.weight.clone()
    optimizer = make_optimizer(layer, "adamw", 0.1, 0.5)
    Descent(optimizer, plateau_schedule(optimizer, 0.5, 0)).step((layer.bias * 0).sum())
    assert torch.equal(layer.weight, before)
    assert torch.equal(layer.bias, torch.ones(3))

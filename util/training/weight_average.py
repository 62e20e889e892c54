"""The running average of a model's weights."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class RunningAverage:
    """The mean of a model's weights over its last steps: at each step, `decay` of it stays.

    At step n at most n / (n + 9) stays, as in TensorFlow's ExponentialMovingAverage, so that the
    first steps of a run are soon forgotten. BatchNorm statistics are averaged, too. From now on the
    model's tensors must be changed in place. (torch's AveragedModel asks the device for its count
    at each step, and averages counts.)
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = copy.deepcopy(model), decay
        tensors = [list(one.state_dict().values()) for one in (self.model, model)]
        self._means, self._weights = ([t for t in ts if t.is_floating_point()] for ts in tensors)
        # How many batches BatchNorm has seen: those of the mean, those of the model.
        self._counts = [[t for t in ts if not t.is_floating_point()] for ts in tensors]

    def update(self, step: int) -> None:
        """After step number `step` of the model, from 1 on; does not wait for the device."""
        stays = min(self.decay, step / (step + 9))
        get_ema_multi_avg_fn(stays)(self._means, self._weights, step)
        if self._counts[0]:
            torch._foreach_copy_(*self._counts)

"""The running average of a model's weights."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class RunningAverage:
    """The mean of a model's weights over its last steps: at each step, `decay` of it stays.

    At step n at most n / (n + 9) stays, as in TensorFlow's ExponentialMovingAverage, so that the
    first steps of a run are soon forgotten: until 1 / (1 - decay) is reached, it is the mean of
    about the last ninth of the steps. BatchNorm statistics are averaged, too. From now on the
    model's tensors must be changed in place. (torch's AveragedModel asks the device for its count
    at each step, and averages counts.)
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = copy.deepcopy(model), decay
        pairs = list(
            zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        )
        means = [pair for pair in pairs if pair[0].is_floating_point()]
        self._means, self._weights = map(list, zip(*means, strict=True))
        # How many batches BatchNorm has seen: those of the mean, those of the model.
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._counts = list(zip(*counts, strict=True))

    def update(self, step: int) -> None:
        """After step number `step` of the model, from 1 on; does not wait for the device."""
        stays = min(self.decay, step / (step + 9))
        get_ema_multi_avg_fn(stays)(self._means, self._weights, step)
        if self._counts:
            torch._foreach_copy_(*self._counts)

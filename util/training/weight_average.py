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

    keep: the share, 0 to below 1, that what the model is now, `start`, has in the mean for good, so
    that fine-tuning unlearns less (Wortsman et al. 2022, CVPR, arXiv:2109.01903; BatchNorm
    statistics are mixed like weights, which is near enough after a short training only).
    """

    def __init__(self, model: nn.Module, decay: float, keep: float = 0.0):
        self.model, self.decay, self.keep = copy.deepcopy(model), decay, keep
        tensors = [list(one.state_dict().values()) for one in (self.model, model)]
        self._means, self._weights = ([t for t in ts if t.is_floating_point()] for ts in tensors)
        # How many batches BatchNorm has seen: those of the mean, those of the model.
        self._counts = [[t for t in ts if not t.is_floating_point()] for ts in tensors]
        self.start = [t.clone() for t in self._means] if keep else []

    def update(self, step: int) -> None:
        """After step number `step` of the model, from 1 on; does not wait for the device."""
        stays = min(self.decay, step / (step + 9))
        weights = self._weights
        if self.start:  # each step, so that best.pth takes no third copy of the network
            weights = torch._foreach_lerp(weights, self.start, self.keep)
        get_ema_multi_avg_fn(stays)(self._means, weights, step)
        if self._counts[0]:
            torch._foreach_copy_(*self._counts)

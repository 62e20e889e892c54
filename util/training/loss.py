"""What training lowers."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from util.distributed import Ranks

STOP_EVERY_STEPS = 10  # GPUs learn only so often whether one was asked to stop: looking waits


class Loss(NamedTuple):
    """Of a batch that the ranks share; each without a dimension, on the device.

    to_backward: this rank's part of the mean times the number of ranks, so that the mean of the
    gradients over the ranks, which DistributedDataParallel takes, is right also where the ranks
    have different numbers of images. mean: over the images of all ranks, without a gradient. stops:
    how many ranks were asked to stop.
    """

    to_backward: Tensor
    mean: Tensor
    stops: Tensor


def batch_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    smoothing: float,
    ranks: Ranks,
    stop: bool = False,
) -> Loss:
    """Cross-entropy over a batch of which this rank has the images `logits` (N, K).

    Each image is weighted by `weights` (K,) of its class, as in torch's CrossEntropyLoss. The loss
    of a batch whose images all have weight 0 is 0. targets: class indices (N,), or (N, K) of
    `util.training.distillation.soft_targets`, which hold weights and smoothing already. stop:
    whether this rank was asked to stop; the ranks learn it from each other along with the loss,
    which costs nothing.
    """
    if targets.is_floating_point():
        own, weight = cross_entropy(logits.float(), targets, reduction="sum"), targets.sum()
    else:
        own = cross_entropy(
            logits.float(), targets, weights, reduction="sum", label_smoothing=smoothing
        )
        weight = weights[targets].sum()
    asked = own.new_full((), stop)  # written by the device: a copy to it would wait
    parts = torch.stack([own.detach(), weight, asked])
    total, weight, stops = ranks.sum(parts)
    weight = torch.where(weight > 0, weight, torch.inf)
    return Loss(own * ranks.size / weight, total / weight, stops)


def stop_heard(loss: Loss, step: int, ranks: Ranks, stop: Callable[[], bool]) -> bool:
    """Whether a rank was asked to stop; all ranks learn of it at the same step."""
    if ranks.size == 1:
        return stop()
    every = STOP_EVERY_STEPS if loss.stops.device.type == "cuda" else 1
    return step % every == 0 and bool(loss.stops)

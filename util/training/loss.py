"""What training lowers."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from util.distributed import Ranks


class Loss(NamedTuple):
    """Of a batch that the ranks share; each without a dimension, on the device.

    share: to go backward from: this rank's part of the mean times the number of ranks, so that the
    mean of the gradients over the ranks, which DistributedDataParallel takes, is right also where
    their parts of the batch differ. mean: over the images of all ranks, to look at, without a
    gradient. stops: how many ranks were asked to stop.
    """

    share: Tensor
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

    Each image is weighted by `weights` (K,) of its class, as in torch's CrossEntropyLoss. A batch
    of images without weight has nothing to say: its loss is 0. stop: whether this rank was asked
    to; the ranks tell each other along with the loss, which costs them nothing.
    """
    share = cross_entropy(
        logits.float(), targets, weights, reduction="sum", label_smoothing=smoothing
    )
    asked = share.new_full((), stop)  # written by the device: a copy to it would wait
    parts = torch.stack([share.detach(), weights[targets].sum(), asked])
    total, weight, stops = ranks.sum(parts)
    weight = torch.where(weight > 0, weight, torch.inf)
    return Loss(share * ranks.size / weight, total / weight, stops)


class Watch:
    """Which step was the first whose loss or weights are no numbers, seen without waiting."""

    def __init__(self, device: torch.device):
        self._first = torch.zeros((), dtype=torch.int64, device=device)

    def see(self, loss: Tensor | float, step: int) -> None:
        good = torch.as_tensor(loss, device=self._first.device).isfinite()
        self._first += step * (~good & (self._first == 0))

    @torch.no_grad()
    def see_weights(self, tensors: Iterable[Tensor], step: int) -> None:
        """Weights whose squares do not add up to a number are as lost. Counters are left out."""
        self.see(nn.utils.get_total_norm([t for t in tensors if t.is_floating_point()]), step)

    def first_bad(self) -> int:
        """The step, or 0 if there was none. Waits for the device."""
        return int(self._first)

    def check(self, left: Callable[[], str]) -> None:
        """ValueError if there was one. left: says what the run leaves behind. Waits, too."""
        if step := self.first_bad():
            raise ValueError(
                f"step {step}: the loss is no number any more; lower --lr, or give --clip-norm."
                f" What was saved is from before; {left()}"
            )

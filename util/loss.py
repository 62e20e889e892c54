"""What training lowers."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from util.distributed import Ranks


def batch_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, smoothing: float, ranks: Ranks
) -> tuple[Tensor, Tensor]:
    """Cross-entropy over a batch of which this rank has the images `logits` (N, K), twice.

    The mean over the images of all ranks, each weighted by `weights` (K,) of its class, as torch's
    CrossEntropyLoss has it: to look at, without a gradient. Before it, to go backward from: this
    rank's share of it times the number of ranks, so that the mean of the gradients over the ranks,
    which DistributedDataParallel takes, is right also where their parts of the batch differ.
    """
    share = cross_entropy(
        logits.float(), targets, weights, reduction="sum", label_smoothing=smoothing
    )
    total, weight = ranks.sum(torch.stack([share.detach(), weights[targets].sum()]))
    return share * ranks.size / weight, total / weight


class Watch:
    """Which step's loss was the first that is no number, without waiting for the device."""

    def __init__(self, device: torch.device):
        self.first_bad = torch.zeros((), dtype=torch.int64, device=device)

    def see(self, loss: Tensor, step: int) -> None:
        self.first_bad += step * (~loss.isfinite() & (self.first_bad == 0))

    def check(self) -> None:
        """ValueError with the step, if there was one. Waits for the device."""
        if step := int(self.first_bad):
            raise ValueError(
                f"step {step}: the loss is no number any more; lower --lr, or give --clip-norm."
                " best.pth and last.pth are from before"
            )

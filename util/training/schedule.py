"""Learning-rate schedules."""

import logging
import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

log = logging.getLogger(__name__)


def cosine_schedule(optimizer: Optimizer, steps: int, warmup_steps: int) -> LambdaLR:
    """Step by step: a straight rise over the warm-up, then half a cosine down to 0 at the end.

    Loshchilov & Hutter, SGDR, ICLR 2017; Goyal et al., arXiv:1706.02677.
    """
    if warmup_steps > steps:
        log.warning("warmup_epochs: longer than the run, so that the rate rises to its last step")
    warm = min(warmup_steps, steps - 1)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / (steps - warm))

    return LambdaLR(optimizer, factor)


def plateau_schedule(optimizer: Optimizer, factor: float, patience: int) -> ReduceLROnPlateau:
    """Epoch by epoch: `factor` times the rate after more than `patience` epochs of no gain."""
    return ReduceLROnPlateau(optimizer, mode="max", factor=factor, patience=patience, min_lr=1e-7)

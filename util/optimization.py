"""The optimizer of a run and the course of its learning rate."""

import math

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def make_optimizer(model: nn.Module, kind: str, lr: float, weight_decay: float) -> Optimizer:
    """`adamw` (Loshchilov & Hutter, ICLR 2019) or `adam` over all parameters.

    Frozen ones have no gradient and stay as they are, until they are thawed. Biases and BatchNorm
    parameters are not decayed: shrinking them regularises nothing.
    """
    everything = list(model.parameters())
    if not any(p.requires_grad for p in everything):
        raise ValueError("freeze: found every block; expected one at least that is trained")
    groups = [
        {"params": [p for p in everything if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in everything if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One pass over the tensors instead of one for each operation, where torch has it.
    fused = {p.device.type for p in everything} <= {"cpu", "cuda"}
    return {"adamw": AdamW, "adam": Adam}[kind](groups, lr=lr, fused=fused)


def cosine_schedule(optimizer: Optimizer, steps: int, warmup_steps: int) -> LambdaLR:
    """Step by step: a straight rise over the warm-up, then half a cosine down to 0 at the end.

    Loshchilov & Hutter, SGDR, ICLR 2017; Goyal et al., arXiv:1706.02677.
    """
    warm = min(warmup_steps, steps - 1)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / (steps - warm))

    return LambdaLR(optimizer, factor)


def plateau_schedule(optimizer: Optimizer, factor: float, patience: int) -> ReduceLROnPlateau:
    """Epoch by epoch: `factor` times the rate after `patience` epochs without a better macro F1."""
    return ReduceLROnPlateau(optimizer, mode="max", factor=factor, patience=patience, min_lr=1e-7)

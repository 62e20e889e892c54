"""How the weights follow the gradient: the optimizer, its rate, scaling, clipping, averaging."""

import copy
import logging
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import get_ema_multi_avg_fn

from util.training.muon import Muon

log = logging.getLogger(__name__)

# Multiplications for one product of a convolution's matrices, above which it is AdamW's with muon:
# the nine widest of COVIDNext50 would take five sixths of Muon's time. A network of real images was
# no worse without them (96 pixels, 40 epochs, one fold; a trial outside the study).
LARGEST = 2**28


class Descent:
    """The steps of an optimizer, and all that belongs to one.

    schedule: goes on by epochs if it is a plateau_schedule, else by steps. clip_norm: a longer
    gradient is shortened to it; None leaves it. scaled: whether the loss is multiplied so that the
    gradient fits float16; a step whose gradient does not is left out, and the factor is lowered.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: LRScheduler,
        clip_norm: float | None = None,
        scaled: bool = False,
    ):
        self.optimizer, self.schedule, self.clip_norm = optimizer, schedule, clip_norm
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.scaler = torch.amp.GradScaler(self.parameters[0].device.type, enabled=scaled)
        self.rate = 0.0  # of the last step

    def step(self, loss: Tensor) -> None:
        """Backward from the loss, then one step; does not wait for the device (but for Muon's with
        scaling)."""
        self.scaler.scale(loss).backward()
        if self.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.rate = self.optimizer.param_groups[0]["lr"]
        if not isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step()

    def end_epoch(self, score: float) -> None:
        """score: of the validation, higher is better."""
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(score)

    def state_dict(self) -> dict[str, Any]:
        parts = {"optimizer": self.optimizer, "scheduler": self.schedule, "scaler": self.scaler}
        return {name: part.state_dict() for name, part in parts.items()} | {"rate": self.rate}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Of `state_dict`; what else is in it is left alone."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["scheduler"])
        self.scaler.load_state_dict(state["scaler"])
        self.rate = state["rate"]


def make_optimizer(
    model: nn.Module,
    kind: str,
    lr: float,
    weight_decay: float,
    dtype: torch.dtype = torch.float32,
) -> Optimizer:
    """`adamw` (Loshchilov & Hutter, ICLR 2019), `adam` or `muon` over all of a model's parameters.

    `muon` is Muon for convolutions, but the widest, and AdamW for the rest.

    Frozen ones have no gradient and stay as they are, until they are thawed. Biases and BatchNorm
    parameters are not decayed: shrinking them regularises nothing. dtype: of the run's arithmetic;
    Muon's is bfloat16 if that is, else float32.
    """
    everything = list(model.parameters())
    if not any(p.requires_grad for p in everything):
        raise ValueError("freeze: found every block; expected one at least that is trained")
    convolutions: dict[int, list[nn.Parameter]] = {}  # by their groups
    if kind == "muon":
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d) and orthogonal_cost(layer) <= LARGEST:
                convolutions.setdefault(layer.groups, []).append(layer.weight)
    taken = {id(weight) for weights in convolutions.values() for weight in weights}
    rest = [p for p in everything if id(p) not in taken]
    # One pass over the tensors instead of one for each operation, where torch has it.
    fused = {p.device.type for p in everything} <= {"cpu", "cuda"}
    groups = [
        {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if kind == "muon":
        orthogonal = [
            {"params": weights, "weight_decay": weight_decay, "conv_groups": conv_groups}
            for conv_groups, weights in convolutions.items()
        ]
        groups = [*orthogonal, *({**group, "conv_groups": 0} for group in groups)]
        of_products = dtype if dtype == torch.bfloat16 else torch.float32
        return Muon(groups, lr, of_products, fused and dtype != torch.float16)
    return {"adamw": AdamW, "adam": Adam}[kind](groups, lr=lr, fused=fused)


def orthogonal_cost(layer: nn.Conv2d) -> int:
    """Multiplications that one product of Muon's takes: of (r, c) matrices, short side first."""
    short, long = sorted((layer.out_channels // layer.groups, layer.weight[0].numel()))
    return layer.groups * short * short * long


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
    """Epoch by epoch: `factor` times the rate after more than `patience` epochs without a better
    macro F1, as torch counts."""
    return ReduceLROnPlateau(optimizer, mode="max", factor=factor, patience=patience, min_lr=1e-7)


class RunningAverage:
    """The mean of a model's weights over its last steps: at each, `decay` of it stays.

    At step n at most n / (n + 9) stays, as in TensorFlow's ExponentialMovingAverage, so that the
    first steps of a run are soon forgotten: until 1 / (1 - decay) rules, it is the mean of about
    the last ninth of the steps. BatchNorm statistics are averaged, too. The model's tensors are to
    be changed in place from now on. (torch's AveragedModel asks the device for its count at each
    step, and takes means of counts.)
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = copy.deepcopy(model), decay
        pairs = list(
            zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        )
        means = [pair for pair in pairs if pair[0].is_floating_point()]
        self._means, self._weights = map(list, zip(*means, strict=True))
        # How many batches BatchNorm has seen.
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._counts = list(zip(*counts, strict=True))  # those of the mean, those of the model

    def update(self, step: int) -> None:
        """After step number `step` of the model, from 1 on; does not wait for the device."""
        stays = min(self.decay, step / (step + 9))
        get_ema_multi_avg_fn(stays)(self._means, self._weights, step)
        if self._counts:
            torch._foreach_copy_(*self._counts)

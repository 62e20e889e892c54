"""How the weights follow the gradient: the optimizer, the scaling of the loss, clipping."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from util.training.muon import Muon

# Multiplications for one product of a convolution's matrices, up to which Muon takes it. The nine
# widest of COVIDNext50 would take five sixths of Muon's time. On real images a network without them
# was not worse (96 pixels, 40 epochs, one fold; a trial outside the study).
LARGEST_PRODUCT = 2**28


class Descent:
    """The steps of an optimizer, with its schedule, the scaling of the loss and clipping.

    schedule: goes on by epochs if it is a plateau_schedule, else by steps. clip_norm: a longer
    gradient is shortened to it; None: no limit. scaled: whether the loss is multiplied so that the
    gradient fits float16; a step whose gradient does not fit is left out, and the factor lowered.
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
        """Backward, then one step; waits for the device only if Muon's gradient is scaled."""
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
        """state: of `state_dict`; it may hold more."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["scheduler"])
        self.scaler.load_state_dict(state["scaler"])
        self.rate = state["rate"]


def make_optimizer(
    model: nn.Module, kind: str, lr: float, weight_decay: float, dtype: torch.dtype = torch.float32
) -> Optimizer:
    """`adamw` (Loshchilov & Hutter, ICLR 2019), `adam` or `muon`, which is Muon for convolutions
    except the widest and AdamW for the rest.

    It has the frozen parameters, too. Biases and BatchNorm parameters are not decayed: shrinking
    them regularises nothing. dtype: of the run's arithmetic; Muon's is bfloat16 if that is, else
    float32. ValueError if all are frozen.
    """
    everything = list(model.parameters())
    if not any(p.requires_grad for p in everything):
        raise ValueError("freeze: found every block; expected at least one that is trained")
    convolutions: dict[int, list[nn.Parameter]] = {}  # by their groups
    if kind == "muon":
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d) and _product_cost(layer) <= LARGEST_PRODUCT:
                convolutions.setdefault(layer.groups, []).append(layer.weight)
    taken = {id(weight) for weights in convolutions.values() for weight in weights}
    rest = [p for p in everything if id(p) not in taken]
    groups = [
        *({"params": ps, "conv_groups": n} for n, ps in convolutions.items()),
        {"params": [p for p in rest if p.ndim > 1]},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One pass over the tensors instead of one for each operation, where torch has it.
    fused = {p.device.type for p in everything} <= {"cpu", "cuda"}
    if kind == "muon":
        of_products = dtype if dtype == torch.bfloat16 else torch.float32
        groups = [{"conv_groups": 0, "weight_decay": weight_decay} | group for group in groups]
        return Muon(groups, lr, of_products, fused and dtype != torch.float16)
    return {"adamw": AdamW, "adam": Adam}[kind](groups, lr, weight_decay=weight_decay, fused=fused)


def _product_cost(layer: nn.Conv2d) -> int:
    """Multiplications that one product of Muon's matrices takes."""
    short, long = sorted((layer.out_channels // layer.groups, layer.weight[0].numel()))
    return layer.groups * short * short * long

"""One training step: from the loss to the new weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


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

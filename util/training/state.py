"""What changes while a run trains: all that it takes to go on with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from util.checkpoint import START, rng_state, set_rng_state
from util.training.early_stopping import collapsed
from util.training.loss import Loss
from util.training.progress import Progress
from util.training.step import Descent
from util.training.weight_average import RunningAverage


@dataclass
class Training:
    """A model that is trained, and all that changes with it.

    average: of its weights, or None. loss_of: `batch_loss` with the weights of the classes. dtype:
    of the convolutions. normalise: makes the network's input of pixels. facts: what every
    checkpoint of the run says, see `save_checkpoint`. auto_precision: whether the dtype was chosen
    for the device. net: the model as the steps run it, on one device or many, compiled or not.
    """

    model: nn.Module
    average: RunningAverage | None
    descent: Descent
    loss_of: Callable[..., Loss]
    dtype: torch.dtype
    normalise: Callable[[Tensor], Tensor]
    progress: Progress
    facts: dict[str, Any]
    auto_precision: bool
    net: nn.Module | None = None

    @property
    def kept(self) -> nn.Module:
        """What is validated and goes into best.pth: the average, or without one the model."""
        return self.model if self.average is None else self.average.model

    @property
    def device(self) -> torch.device:
        return self.progress.epoch_loss.device

    def step(self, loss: Loss) -> None:
        """Backward from the loss of a batch, then one step. Does not wait for the device."""
        self.descent.step(loss.to_backward)
        self.progress.count(loss.mean)
        if self.average is not None:
            self.average.update(self.progress.step)

    def check(self) -> None:
        """ValueError if the run has diverged. Waits for the device."""
        if step := int(self.progress.first_bad):
            raise ValueError(
                f"step {step}: the loss is not finite; lower --lr, or give --clip-norm."
                f" What was saved is from before; {self.progress.best_so_far()}"
            )

    def check_weights(self) -> None:
        """Before they are saved: the loss of the last step was that of the weights before it.

        ValueError, too, if their sum of squares is not finite.
        """
        tensors = [t for t in self.model.state_dict().values() if t.is_floating_point()]
        self.progress.see(nn.utils.get_total_norm(tensors))
        self.check()

    def check_collapse(self, patience: int | None, classes: Sequence[str]) -> None:
        """ValueError if every validation image has got the same class for `patience` epochs."""
        progress = self.progress
        if collapsed(progress, patience):
            name = classes[np.sum(progress.matrix, axis=0).argmax()]
            raise ValueError(
                f"step {progress.step}: for {patience} epochs every validation image was named"
                f" {name}; change --lr or --loss-weights. {progress.best_so_far()}"
            )

    def checkpoint(self) -> dict[str, Any]:
        """What evaluation and prediction need."""
        return self.facts | {
            "state_dict": self.kept.state_dict(),
            "epoch": self.progress.epoch,
            "step": self.progress.step,
            "metrics": self.progress.metrics,
        }

    def state_dict(self) -> dict[str, Any]:
        """What it takes, beside `checkpoint`, to go on with the run bit for bit."""
        parts = self.descent.state_dict() | self.progress.state_dict()
        weights = {"weights": self.model.state_dict(), "auto_precision": self.auto_precision}
        start = {START: self.average.start} if self.average and self.average.start else {}
        return parts | weights | start | {"rng": rng_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """state: the content of last.pth, whose tensors fit."""
        self.kept.load_state_dict(state["state_dict"])
        self.model.load_state_dict(state["weights"])
        if self.average:
            for tensor, saved in zip(self.average.start, state.get(START, ()), strict=True):
                tensor.copy_(saved)
        self.descent.load_state_dict(state)
        self.progress.load_state_dict(state)
        set_rng_state(state["rng"])

"""How far a run has come."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from util.training.early_stopping import age_of_best


@dataclass
class Progress:
    """Steps and epochs of a run so far; an epoch counts once it was validated."""

    epoch_loss: Tensor  # sum over the batches of the epoch so far, on the device
    first_bad: Tensor  # the first step whose loss or weights were not finite, or 0; on the device
    batches: int = 0  # of the epoch so far
    step: int = 0  # batches of the whole run
    history: list[dict] = field(default_factory=list)  # of whole epochs, see history.py
    matrix: list[list[int]] = field(default_factory=list)  # confusion after the last of them

    @classmethod
    def start(cls, device: torch.device) -> "Progress":
        return cls(torch.zeros((), device=device), torch.zeros((), dtype=int, device=device))

    def state_dict(self) -> dict[str, Any]:
        """Waits for the device."""
        running = (self.batches, self.epoch_loss.item())
        return {"running": running, "history": self.history, "matrix": self.matrix}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """state: the content of last.pth."""
        self.batches, loss = state["running"]
        self.epoch_loss += loss
        self.step, self.history, self.matrix = state["step"], state["history"], state["matrix"]

    @property
    def epoch(self) -> int:
        """How many are done."""
        return len(self.history)

    @property
    def best(self) -> float | None:
        """The highest validation macro F1; None before the end of the first epoch."""
        return max((row["val_macro_f1"] for row in self.history), default=None)

    @property
    def metrics(self) -> dict[str, float]:
        """Of the last epoch's validation; none before."""
        row = self.history[-1] if self.history else {}
        return {k.removeprefix("val_"): v for k, v in row.items() if k.startswith("val_")}

    def count(self, loss: Tensor) -> None:
        """A batch is done. loss: its mean, without a gradient."""
        self.step, self.batches = self.step + 1, self.batches + 1
        self.epoch_loss += loss
        self.see(loss)

    def see(self, value: Tensor | float) -> None:
        """Notes the step if a value is not finite, without waiting for the device."""
        finite = torch.as_tensor(value, device=self.first_bad.device).isfinite()
        self.first_bad += self.step * (~finite & (self.first_bad == 0))

    def end_epoch(self, metrics: dict[str, float], matrix: list[list[int]], **more: float) -> bool:
        """The validation is done: a row for the history, with `more`. Whether it is the best."""
        row = {"epoch": self.epoch + 1, "train_loss": self.epoch_loss.item() / self.batches, **more}
        self.history.append(row | {f"val_{name}": value for name, value in metrics.items()})
        self.matrix, self.batches = matrix, 0
        self.epoch_loss.zero_()
        return age_of_best(self.history) == 0

    def best_so_far(self) -> str:
        """What a run that ends early leaves behind, in words."""
        if self.best is None:
            return "best validation macro F1 so far: none yet, and no best.pth"
        epoch = self.epoch - age_of_best(self.history)
        text = f"best validation macro F1 so far: {self.best:.3f}, of epoch {epoch}; its best.pth"
        return f"{text} has no temperature and no gate before the run ends"

"""How far a run has come."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from util.words import SCORES


@dataclass
class Progress:
    """Steps and epochs of a run so far; an epoch counts once it was validated."""

    epoch_loss: Tensor  # sum over the batches of the epoch so far, on the device
    first_bad: Tensor  # the first step whose loss or weights were not finite, or 0; on the device
    batches: int = 0  # of the epoch so far
    step: int = 0  # batches of the whole run
    history: list[dict] = field(default_factory=list)  # of whole epochs, see history.py
    matrix: list[list[int]] = field(default_factory=list)  # confusion after the last of them
    choose: str = "macro_f1"  # the score that chooses best.pth, see choice.py

    @classmethod
    def start(cls, device: torch.device, choose: str = "macro_f1") -> "Progress":
        loss, bad = torch.zeros((), device=device), torch.zeros((), dtype=int, device=device)
        return cls(loss, bad, choose=choose)

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
    def scores(self) -> list[float]:
        """Of each epoch, what it is judged by: the higher the better."""
        sign = -1 if self.choose == "loss" else 1
        return [sign * row[f"val_{self.choose}"] for row in self.history]

    @property
    def age_of_best(self) -> int:
        """Epochs since the first of the best ones."""
        return self.epoch - 1 - self.scores.index(max(self.scores))

    @property
    def best(self) -> float | None:
        """The best validation score; None before the end of the first epoch."""
        return abs(max(self.scores)) if self.history else None

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
        return self.age_of_best == 0

    def best_so_far(self) -> str:
        """What a run that ends early leaves behind, in words."""
        best = f"best validation {SCORES[self.choose]} so far:"
        if self.best is None:
            return f"{best} none yet, and no best.pth"
        epoch = self.epoch - self.age_of_best
        text = f"{best} {self.best:.3f}, of epoch {epoch}; its best.pth"
        return f"{text} has no temperature and no gate before the run ends"

"""The folder of a run, experiments/NAME/: beginning a run there, and going on with one."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from util.checkpoint import load_checkpoint
from util.device import pick_precision, precision_name
from util.training.history import age_of_best

# Which run it is, and whether it goes on: always as asked now.
WHICH = {"name", "ckpts_dir", "resume"}
# What may change when a run goes on: none of it changes what the run computes, beyond rounding.
FREE = WHICH | {"dataset", "device", "n_threads", "compile", "log_steps", "save_minutes"}
# What may change, too: it changes no weights, but how images are looked at once they are trained.
LATER = {"test_time_augmentation"}
# What last.pth holds beyond best.pth.
RESUMABLE = (
    *("weights", "optimizer", "scheduler", "scaler", "rate", "rng"),
    *("history", "running", "matrix", "auto_precision"),
)
# What a killed process leaves of a file that it was writing, see util.files.atomic_path.
HALF_WRITTEN = re.compile(r"\.(last|best|config|history|curves)\.[0-9a-f]{8}\.\w+")

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a run has come."""

    total: Tensor  # the losses of the epoch so far, added up on the device
    done: int = 0  # its batches so far
    step: int = 0  # batches of the whole run
    history: list[dict] = field(default_factory=list)  # of whole epochs, see util.training.history
    matrix: list[list[int]] = field(default_factory=list)  # confusion at the end of the last one

    @classmethod
    def of(cls, state: dict[str, Any] | None, device: torch.device) -> "Progress":
        """From the content of last.pth; None for a run that begins."""
        total = torch.zeros((), device=device)
        if state is None:
            return cls(total)
        done, loss = state["running"]
        return cls(total + loss, done, state["step"], state["history"], state["matrix"])

    def state(self) -> dict[str, Any]:
        """What `of` needs. Waits for the device."""
        running = (self.done, self.total.item())
        return {"running": running, "history": self.history, "matrix": self.matrix}

    @property
    def epoch(self) -> int:
        """How many are done."""
        return len(self.history)

    @property
    def best(self) -> float | None:
        """The highest validation macro F1; None before the first epoch's end."""
        return max((row["val_macro_f1"] for row in self.history), default=None)

    @property
    def metrics(self) -> dict[str, float]:
        """Of the last epoch's validation; none before."""
        row = self.history[-1] if self.history else {}
        return {k.removeprefix("val_"): v for k, v in row.items() if k.startswith("val_")}

    def count(self, loss: Tensor) -> None:
        """A batch is done. loss: its mean, without a gradient."""
        self.step, self.done = self.step + 1, self.done + 1
        self.total += loss

    def end_epoch(self, metrics: dict[str, float], matrix: list[list[int]], **more: float) -> bool:
        """The validation is done: a row for the history, with `more`. Whether it is the best."""
        row = {"epoch": self.epoch + 1, "train_loss": self.total.item() / self.done, **more}
        self.history.append(row | {f"val_{name}": value for name, value in metrics.items()})
        self.matrix, self.done = matrix, 0
        self.total.zero_()
        return age_of_best(self.history) == 0

    def left(self) -> str:
        """What a run that ends early leaves behind."""
        if self.best is None:
            return "best validation macro F1 so far: none yet, and no best.pth"
        return (
            f"best validation macro F1 so far: {self.best:.3f}, of epoch"
            f" {self.epoch - age_of_best(self.history)}; its best.pth has no temperature and no"
            " gate before the run ends"
        )


def open_run(folder: Path, resume: bool, again: str | None = None) -> dict[str, Any] | None:
    """last.pth's content when the run in the folder goes on, None when one begins there.

    again: the id of the launch, where a launcher has started this process anew: then a run of the
    same launch goes on, too. "" is no id, and like no other.

    FileExistsError if the folder holds a run that shall not go on, ValueError if it holds something
    that cannot.
    """
    last = folder / "last.pth"
    state = load_checkpoint(last) if (resume or again) and last.exists() else None
    if state and (resume or state.get("launch") == again):
        lacking = [name for name in RESUMABLE if name not in state]
        if lacking:
            raise ValueError(
                f"{last}: no {', '.join(lacking)} in it; a run goes on from its last.pth"
            )
        if state["history"] and not (folder / "best.pth").is_file():
            raise FileNotFoundError(
                f"{folder}: found last.pth of {len(state['history'])} epochs but no best.pth; put"
                " it back, or begin another run"
            )
        return state
    there = sorted(path.name for path in folder.glob("[!.]*"))
    if there and again == "":
        raise FileExistsError(
            f"{folder}: holds a run; found no id of this launch that says whether it is its own."
            " Give torchrun --rdzv-id, or --standalone; --resume goes on with the run"
        )
    if there and resume:
        raise ValueError(f"{folder}: found {there[0]} but no last.pth; nothing can go on from that")
    if there:
        raise FileExistsError(
            f"{folder}: holds a run already; --resume goes on with it, --name begins another"
        )
    if resume:
        log.info("%s: nothing to go on from; a new run begins", folder)
    return None


def check_shared(folder: Path, steps: Sequence[int]) -> None:
    """ValueError unless all processes of a run found it at the same step, as in a folder that they
    share. steps: by rank; -1 where there is no last.pth to go on from."""
    for rank, step in enumerate(steps):
        if step != steps[0]:
            first, other = (f"at step {k}" if k >= 0 else "not there" for k in (steps[0], step))
            raise ValueError(
                f"{folder}: found the run {first} on rank 0 and {other} on rank {rank}; expected a"
                " folder that all machines share. See --ckpts-dir"
            )


def sweep(folder: Path) -> None:
    """Removes what killed processes of the run left half written."""
    for path in folder.iterdir():
        if HALF_WRITTEN.fullmatch(path.name):
            path.unlink(missing_ok=True)


def settle(asked: dict[str, Any], given: set[str], saved: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that goes on: its `saved` ones, but for what is FREE or LATER and
    `given` anew.

    ValueError if a setting that is not free was given with another value.
    """
    for name in sorted(given - FREE - LATER):
        if name in saved and asked[name] != saved[name]:
            raise ValueError(
                f"--{name.replace('_', '-')}: found {asked[name]}, but the run has {saved[name]}"
                " and goes on with its own settings. Leave the flag out, or begin another run"
            )
    return asked | {name: saved[name] for name in saved.keys() - WHICH - given}


def differ(settings: dict[str, Any], saved: dict[str, Any]) -> bool:
    """Whether a run goes on with another setting than it was saved with."""
    return any(saved.get(name) != settings[name] for name in settings.keys() - WHICH)


def settle_precision(name: str, device: torch.device, auto: bool) -> torch.dtype:
    """The dtype of a run: a run goes on in what it began in.

    auto: whether `name` was chosen for the device that the run began on.
    """
    here = precision_name(pick_precision("auto", device, scaled=True))
    if auto and name not in ("auto", here):
        text = "precision: the run goes on in %s, as it began; auto would be %s on this device"
        log.warning(text, name, here)
    return pick_precision(name, device, scaled=True)

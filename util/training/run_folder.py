"""The folder of a run, experiments/NAME/: what lies in it, and when it is saved."""

import logging
import math
import shlex
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from util.checkpoint import RESUMABLE, load_checkpoint, save_checkpoint
from util.files import half_written, locked_folder, write_json
from util.plots.confusion_matrix import draw_confusion_matrix
from util.training.history import log_epoch, write_history
from util.training.progress import Progress
from util.training.resume import settings_differ
from util.training.state import Training
from util.training.tensorboard import open_writer, show_end, show_epoch, show_start

OURS = {"last.pth", "best.pth", "config.json", "history.csv", "curves.png"}
EVENTS = "events.out.tfevents."  # how the names of TensorBoard's files begin

log = logging.getLogger(__name__)


class RunFolder:
    """Holds best.pth, last.pth, config.json, history.csv, curves.png and TensorBoard events.

    writes: whether this process is the one of the run that writes there.
    """

    def __init__(self, path: Path, writes: bool = True):
        self.path, self.writes = path, writes
        self.best, self.last = path / "best.pth", path / "last.pth"
        self.save_minutes = math.inf  # between two saves of last.pth
        self._saved = time.monotonic()  # last.pth
        self._writer: SummaryWriter | None = None
        self._title = "Epoch"  # of its lines in the log

    def locked(self) -> AbstractContextManager:
        """For the block no other run writes here; FileExistsError if one does."""
        return locked_folder(self.path) if self.writes else nullcontext()

    def open(self, resume: bool) -> dict[str, Any] | None:
        """The content of last.pth when the run goes on, None when one begins here.

        FileExistsError if the folder holds a run and `resume` was not asked for; a run that never
        took a step is none. ValueError or FileNotFoundError if it holds something that cannot go
        on.
        """
        if resume and self.last.exists():
            state = load_checkpoint(self.last)
            if lacking := [name for name in RESUMABLE if name not in state]:
                raise ValueError(
                    f"{self.last}: no {', '.join(lacking)} in it; a run goes on from its last.pth"
                )
            if state["history"] and not self.best.is_file():
                raise FileNotFoundError(
                    f"{self.path}: found last.pth of {len(state['history'])} epochs but no"
                    " best.pth; put it back, or begin another run"
                )
            return state
        there = sorted(path.name for path in self.path.glob("[!.]*"))
        if there and resume:
            raise ValueError(
                f"{self.path}: found {there[0]} but no last.pth; nothing can go on from that"
            )
        if there and not self._never_took_a_step(there):
            raise FileExistsError(
                f"{self.path}: holds a run already; --resume goes on with it, --name begins another"
            )
        if resume:
            log.info("%s: nothing to go on from; a new run begins", self.path)
        return None

    def _never_took_a_step(self, there: list[str]) -> bool:
        """there: the names of what lies here."""
        begun = {"last.pth", "config.json"}  # and events, before the first step
        others = [name for name in there if name not in begun and not name.startswith(EVENTS)]
        return not others and self.last.is_file() and load_checkpoint(self.last)["step"] == 0

    def has_ended(self, settings: dict[str, Any]) -> bool:
        """Whether the run that goes on has nothing left to do with these settings, as best.pth has
        been completed with them; the log says so."""
        best = load_checkpoint(self.best) if self.best.is_file() else {"validation": None}
        completed = "patients" in (best["validation"] or {})  # earlier versions did not say whose
        ended = completed and not settings_differ(settings, best["config"])
        if ended:
            text = "%s: the run has ended. To train on, begin another: --name OTHER --weights %s"
            log.info(text, self.path, shlex.quote(str(self.best)))
        return ended

    def remove_half_written(self) -> None:
        """Removes what killed processes of the run left half written."""
        if self.writes:
            for path in self.path.iterdir():
                if half_written(path.name) in OURS:
                    path.unlink(missing_ok=True)

    def begin(
        self, settings: dict[str, Any], progress: Progress, classes: Sequence[str], pixels: Tensor
    ) -> None:
        """Writes config.json; history.csv, curves.png and TensorBoard get what `progress` has.

        pixels: (N, 1, H, W) uint8, augmented images to be shown.
        """
        self._title = f"Fold {settings['fold']}, epoch" if settings["fold"] else "Epoch"
        if self.writes:
            if not progress.step:  # what is there is of a run that never took a step
                for events in self.path.glob(f"{EVENTS}*"):
                    events.unlink()
            matrix = progress.matrix
            confusion = draw_confusion_matrix(matrix, classes) if progress.history else None
            self._writer = open_writer(self.path, progress, confusion)
            write_history(self.path, progress)
            write_json(self.path / "config.json", settings)
            show_start(self._writer, progress, settings, pixels)

    def show_step(self, loss: Tensor, step: int) -> None:
        if self.writes:
            self._writer.add_scalar("train/step_loss", loss, step)

    def show_epoch(self, progress: Progress, classes: Sequence[str]) -> None:
        """The last epoch in TensorBoard, history.csv, curves.png and the log."""
        if self.writes:
            confusion = draw_confusion_matrix(progress.matrix, classes)
            # TensorBoard before history.csv, which says that it is there.
            show_epoch(self._writer, progress, confusion)
            write_history(self.path, progress)
            log_epoch(progress, self._title)

    def show_end(self) -> None:
        if self.writes:
            show_end(self._writer)

    def save_best(self, training: Training) -> None:
        """Check the weights before."""
        if self.writes:
            save_checkpoint(self.best, training.checkpoint())

    def save_last(self, training: Training) -> None:
        """ValueError, and no file, if the weights have diverged."""
        training.check_weights()
        if self.writes:
            save_checkpoint(self.last, training.checkpoint() | training.state_dict())
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether the last save of last.pth is more than `save_minutes` ago."""
        return time.monotonic() - self._saved > 60 * self.save_minutes

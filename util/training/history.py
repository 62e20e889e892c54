"""A run, epoch by epoch: what people see of it, and whether it stands still.

A row of the history has epoch, train_loss, lr (of the epoch's last step), images_per_second, and
val_loss, val_accuracy, val_macro_f1, val_macro_precision, val_macro_recall, val_macro_auroc,
val_classes_named (how many classes were named at all).
"""

import logging
import math
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from util.files import atomic_path
from util.plots.training import plot_history

BEST = "best/val_macro_f1"

log = logging.getLogger(__name__)


def show_start(writer: SummaryWriter, settings: dict, pixels: Tensor) -> None:
    """In TensorBoard the settings, also as hyper-parameters, by which it compares runs, and a batch
    (N, 1, H, W) uint8 of augmented images."""
    table = "\n".join(f"|{name}|{value}|" for name, value in settings.items())
    writer.add_text("settings", f"|name|value|\n|---|---|\n{table}")
    writer.add_images("train/batch", pixels)
    plain = {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in settings.items()
    }
    for summary in hparams(plain, {BEST: 0.0})[:2]:  # the third would say that the run is over
        writer.file_writer.add_summary(summary)


def show_end(writer: SummaryWriter) -> None:
    """The run is over."""
    writer.file_writer.add_summary(hparams({}, {})[2])
    writer.close()


@contextmanager
def events_in(folder: Path) -> Iterator[None]:
    """For the block, TensorBoard's OSError, as on a full disk, names the folder, and comes once.

    Its thread raises one without a file's name, and so would the caller that then hears of it.
    """
    told = threading.excepthook

    def hear(raised: threading.ExceptHookArgs) -> None:
        if not (isinstance(raised.exc_value, OSError) and _is_of_events(raised.exc_value)):
            told(raised)

    threading.excepthook = hear
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None and _is_of_events(error):
            error.filename = str(folder)
            until = time.monotonic() + 1
            for thread in threading.enumerate():  # it may be about to raise
                if type(thread).__module__.startswith("tensorboard."):
                    thread.join(max(0.0, until - time.monotonic()))
        raise
    finally:
        threading.excepthook = told


def open_history(
    folder: Path, history: list[dict], confusion: Figure | None, step: int
) -> SummaryWriter:
    """Writes to TensorBoard from `step` on.

    A run that was killed between its last save and `show_epoch`, or after it, has left more or less
    to see than it goes on with: history.csv, curves.png and TensorBoard are brought to `history`.
    confusion: the confusion matrix of its last epoch, drawn; None if there was none.
    """
    table = folder / "history.csv"
    seen = len(pd.read_csv(table)) if table.exists() else 0
    lacking = seen < len(history)
    # What is in TensorBoard from purge_step on is not shown any more.
    writer = SummaryWriter(folder, purge_step=step if lacking else step + 1)
    if lacking:
        _show_row(writer, history, confusion, step)
    if history:
        _write(folder, history)
    return writer


def show_epoch(
    folder: Path, writer: SummaryWriter, history: list[dict], confusion: Figure, step: int
) -> None:
    """The last epoch in TensorBoard and in the log; history.csv and curves.png with all of them.

    confusion: its confusion matrix, drawn.
    """
    _show_row(writer, history, confusion, step)
    _write(folder, history)
    text = (
        "Epoch {epoch}: validation macro F1 {val_macro_f1:.3f}, accuracy {val_accuracy:.3f}, loss"
        " {val_loss:.3f}; training loss {train_loss:.3f}"
    )
    row = history[-1]
    if not math.isnan(row["images_per_second"]):  # another process did all of its steps
        text += ", {images_per_second:.0f} images/s"
    last = "; the best so far" if age_of_best(history) == 0 else ""
    log.info(text.format_map(row) + last)


def _is_of_events(error: OSError) -> bool:
    """Whether TensorBoard raised it."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(f.f_globals.get("__name__", "").startswith("tensorboard.") for f, _ in frames)


def _show_row(writer: SummaryWriter, history: list[dict], confusion: Figure, step: int) -> None:
    writer.add_figure("epoch/confusion_matrix", confusion, step)
    for name, value in history[-1].items():
        if name != "epoch":
            writer.add_scalar(f"epoch/{name}", value, step)
    writer.add_scalar(BEST, max(row["val_macro_f1"] for row in history), step)
    writer.flush()  # before history.csv, which says that it is there


def _write(folder: Path, history: list[dict]) -> None:
    with atomic_path(folder / "history.csv") as path:
        pd.DataFrame(history).to_csv(path, index=False)
    plot_history(history, folder / "curves.png")


def collapsed(history: list[dict], patience: int | None) -> bool:
    """Whether the last `patience` epochs named every validation image alike."""
    last = history[-patience:] if patience else []
    return len(last) == patience and all(row["val_classes_named"] == 1 for row in last)


def stalled(history: list[dict], patience: int | None) -> bool:
    """Whether the best macro F1 is `patience` epochs ago, or more; never without a patience."""
    return bool(patience and history) and age_of_best(history) >= patience


def age_of_best(history: list[dict]) -> int:
    """Epochs since the first of the highest macro F1s."""
    scores = [row["val_macro_f1"] for row in history]
    return len(scores) - 1 - scores.index(max(scores))

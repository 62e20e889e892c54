"""What TensorBoard shows of a run."""

import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from util.training.history import epochs_written

BEST = "best/val_macro_f1"


def open_writer(
    folder: Path, history: list[dict], confusion: Figure | None, step: int
) -> SummaryWriter:
    """Writes to TensorBoard from `step` on, where a killed run may have left more events than
    `history` has, or one epoch fewer.

    confusion: the drawn confusion matrix of its last epoch, if any. Call it before `write_history`:
    history.csv says which epochs TensorBoard has.
    """
    lacking = epochs_written(folder) < len(history)
    # TensorBoard does not show what it has from purge_step on.
    writer = SummaryWriter(folder, purge_step=step if lacking else step + 1)
    if lacking:
        show_epoch(writer, history, confusion, step)
    return writer


def show_start(writer: SummaryWriter, settings: dict, pixels: Tensor) -> None:
    """The settings, also as hyper-parameters to compare runs by, and a batch (N, 1, H, W) uint8."""
    plain = {k: v if isinstance(v, int | float) else _text(v) for k, v in settings.items()}
    table = "\n".join(f"|{name}|{value}|" for name, value in plain.items())
    writer.add_text("settings", f"|name|value|\n|---|---|\n{table}")
    writer.add_images("train/batch", pixels)
    for summary in hparams(plain, {BEST: 0.0})[:2]:  # the third would say that the run is over
        writer.file_writer.add_summary(summary)


def _text(value: object) -> str:
    """The name of a folder may not be valid UTF-8, as what TensorBoard writes must be."""
    return str(value).encode(errors="backslashreplace").decode()


def show_epoch(writer: SummaryWriter, history: list[dict], confusion: Figure, step: int) -> None:
    """The last epoch of the history, with a drawing of its confusion matrix; on disk at the end."""
    writer.add_figure("epoch/confusion_matrix", confusion, step)
    for name, value in history[-1].items():
        if name != "epoch":
            writer.add_scalar(f"epoch/{name}", value, step)
    writer.add_scalar(BEST, max(row["val_macro_f1"] for row in history), step)
    writer.flush()


def show_end(writer: SummaryWriter) -> None:
    """The run is over."""
    writer.file_writer.add_summary(hparams({}, {})[2])
    writer.close()


@contextmanager
def errors_name_folder(folder: Path) -> Iterator[None]:
    """In the block, an OSError of TensorBoard's, such as a full disk, names the folder and is
    raised once: its thread raises it without a name, and then so does the caller."""
    hook = threading.excepthook

    def pass_on(raised: threading.ExceptHookArgs) -> None:
        if not (isinstance(raised.exc_value, OSError) and _from_tensorboard(raised.exc_value)):
            hook(raised)

    threading.excepthook = pass_on
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None and _from_tensorboard(error):
            error.filename = str(folder)
            until = time.monotonic() + 1
            for thread in threading.enumerate():  # it may be about to raise
                if type(thread).__module__.startswith("tensorboard."):
                    thread.join(max(0.0, until - time.monotonic()))
        raise
    finally:
        threading.excepthook = hook


def _from_tensorboard(error: OSError) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(f.f_globals.get("__name__", "").startswith("tensorboard.") for f, _ in frames)

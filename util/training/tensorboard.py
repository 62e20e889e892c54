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
from util.training.progress import Progress


def open_writer(folder: Path, progress: Progress, confusion: Figure | None) -> SummaryWriter:
    """Writes to TensorBoard from where the run is, where a killed run may have left more events
    than `progress` has, or one epoch fewer.

    confusion: the drawn confusion matrix of its last epoch, if any. Call it before `write_history`:
    history.csv says which epochs TensorBoard has.
    """
    lacking = epochs_written(folder) < progress.epoch
    # TensorBoard does not show what it has from purge_step on.
    writer = SummaryWriter(folder, purge_step=progress.step if lacking else progress.step + 1)
    if lacking:
        show_epoch(writer, progress, confusion)
    return writer


def show_start(writer: SummaryWriter, progress: Progress, settings: dict, pixels: Tensor) -> None:
    """The settings, also as hyper-parameters to compare runs by, and a batch (N, 1, H, W) uint8."""
    plain = {k: v if isinstance(v, int | float) else _text(v) for k, v in settings.items()}
    table = "\n".join(f"|{name}|{value}|" for name, value in plain.items())
    writer.add_text("settings", f"|name|value|\n|---|---|\n{table}")
    writer.add_images("train/batch", pixels)
    begin, start, _ = hparams(plain, {_tag_of_best(progress): 0.0})  # the last says it is over
    for summary in (begin, start):
        writer.file_writer.add_summary(summary)


def _text(value: object) -> str:
    """The name of a folder may not be valid UTF-8, as what TensorBoard writes must be."""
    return str(value).encode(errors="backslashreplace").decode()


def show_epoch(writer: SummaryWriter, progress: Progress, confusion: Figure) -> None:
    """The last epoch, with a drawing of its confusion matrix; on disk at the end."""
    writer.add_figure("epoch/confusion_matrix", confusion, progress.step)
    for name, value in progress.history[-1].items():
        if name != "epoch":
            writer.add_scalar(f"epoch/{name}", value, progress.step)
    writer.add_scalar(_tag_of_best(progress), progress.best, progress.step)
    writer.flush()


def _tag_of_best(progress: Progress) -> str:
    return f"best/val_{progress.choose}"


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

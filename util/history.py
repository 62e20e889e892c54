"""A run, epoch by epoch: what people see of it, and whether it stands still.

A row of the history has epoch, train_loss, lr (of the epoch's last step), images_per_second, and
val_loss, val_accuracy, val_macro_f1, val_macro_precision, val_macro_recall, val_classes_named (how
many classes were named at all).
"""

import logging
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from util.files import atomic_path
from util.plots import plot_history

log = logging.getLogger(__name__)


def show_start(writer: SummaryWriter, settings: dict, pixels: Tensor) -> None:
    """The settings, and a batch (N, 1, H, W) uint8 of augmented images, in TensorBoard."""
    table = "\n".join(f"|{name}|{value}|" for name, value in settings.items())
    writer.add_text("settings", f"|name|value|\n|---|---|\n{table}")
    writer.add_images("train/batch", pixels)


def show_end(writer: SummaryWriter, settings: dict, best: float) -> None:
    """The settings as hyper-parameters of the run, which TensorBoard compares with other runs'."""
    plain = {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in settings.items()
    }
    writer.add_hparams(plain, {"best/val_macro_f1": best}, run_name=".")
    writer.close()


def show_epoch(
    folder: Path, writer: SummaryWriter, history: list[dict], confusion: Figure, step: int
) -> None:
    """The last epoch in TensorBoard and in the log; history.csv and curves.png with all of them.

    confusion: its confusion matrix, drawn.
    """
    row = history[-1]
    writer.add_figure("epoch/confusion_matrix", confusion, step)
    for name, value in row.items():
        if name != "epoch":
            writer.add_scalar(f"epoch/{name}", value, step)
    with atomic_path(folder / "history.csv") as path:
        pd.DataFrame(history).to_csv(path, index=False)
    plot_history(history, folder / "curves.png")
    text = (
        "Epoch {epoch}: validation macro F1 {val_macro_f1:.3f}, accuracy {val_accuracy:.3f}, loss"
        " {val_loss:.3f}; training loss {train_loss:.3f}, {images_per_second:.0f} images/s"
    )
    log.info(text.format_map(row) + ("; the best so far" if _age_of_best(history) == 0 else ""))


def collapsed(history: list[dict], patience: int | None) -> bool:
    """Whether the last `patience` epochs named every validation image alike."""
    last = history[-patience:] if patience else []
    return len(last) == patience and all(row["val_classes_named"] == 1 for row in last)


def stalled(history: list[dict], patience: int | None) -> bool:
    """Whether the best macro F1 is `patience` epochs ago, or more; never without a patience."""
    return bool(patience and history) and _age_of_best(history) >= patience


def _age_of_best(history: list[dict]) -> int:
    """Epochs since the first of the highest macro F1s."""
    scores = [row["val_macro_f1"] for row in history]
    return len(scores) - 1 - scores.index(max(scores))

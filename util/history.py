"""A run, epoch by epoch: what people see of it, and whether it stands still.

A row of the history has epoch, train_loss, lr (of the epoch's last step), images_per_second, and
val_loss, val_accuracy, val_macro_f1, val_macro_precision, val_macro_recall.
"""

import logging
from pathlib import Path

import pandas as pd
from torch.utils.tensorboard import SummaryWriter

from util.files import atomic_path
from util.plots import plot_history

log = logging.getLogger(__name__)


def show_epoch(folder: Path, writer: SummaryWriter, history: list[dict], step: int) -> None:
    """The last epoch in TensorBoard and in the log; history.csv and curves.png with all of them."""
    row = history[-1]
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


def stalled(history: list[dict], patience: int | None) -> bool:
    """Whether the best macro F1 is `patience` epochs ago, or more; never without a patience."""
    return bool(patience and history) and _age_of_best(history) >= patience


def _age_of_best(history: list[dict]) -> int:
    """Epochs since the first of the highest macro F1s."""
    scores = [row["val_macro_f1"] for row in history]
    return len(scores) - 1 - scores.index(max(scores))

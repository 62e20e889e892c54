"""The epochs of a run in history.csv, in curves.png and in the log.

A row of the history has epoch, train_loss, lr (of the epoch's last step), images_per_second, and
val_loss, val_accuracy, val_macro_f1, val_macro_precision, val_macro_recall, val_macro_auroc,
val_within_source_auroc, val_classes_named (how many classes the network gave at all).
"""

import logging
import math
from pathlib import Path

import pandas as pd

from util.files import atomic_path
from util.plots.training import plot_history
from util.training.progress import Progress

log = logging.getLogger(__name__)


def epochs_written(folder: Path) -> int:
    """The rows of history.csv; 0 where there is none."""
    table = folder / "history.csv"
    return len(pd.read_csv(table)) if table.exists() else 0


def write_history(folder: Path, progress: Progress) -> None:
    """history.csv and curves.png with all epochs; nothing before the first one has ended."""
    if progress.history:
        with atomic_path(folder / "history.csv") as path:
            pd.DataFrame(progress.history).to_csv(path, index=False)
        plot_history(progress.history, folder / "curves.png", progress.choose)


def log_epoch(progress: Progress, title: str) -> None:
    """A line about the last epoch, whose number comes after the title."""
    row = progress.history[-1]
    text = title + " {epoch}: validation "
    if not math.isnan(row["val_within_source_auroc"]):  # no source of validation has two classes
        text += "within-source AUROC {val_within_source_auroc:.3f}, "
    text += "macro F1 {val_macro_f1:.3f}, accuracy {val_accuracy:.3f}, loss {val_loss:.3f};"
    text += " training loss {train_loss:.3f}"
    if not math.isnan(row["images_per_second"]):  # another process took all of its steps
        text += ", {images_per_second:.0f} images/s"
    best = "; the best so far" if progress.age_of_best == 0 else ""
    log.info(text.format_map(row) + best)

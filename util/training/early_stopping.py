"""When a run stops before its last epoch."""

from util.training.progress import Progress


def collapsed(progress: Progress, patience: int | None) -> bool:
    """Whether the network gave all validation images one class in each of the last `patience`
    epochs; never without a patience."""
    last = progress.history[-patience:] if patience else []
    return len(last) == patience and all(row["val_classes_named"] == 1 for row in last)


def stalled(progress: Progress, patience: int | None) -> bool:
    """Whether the best epoch is `patience` epochs old, or more; never without a patience."""
    return bool(patience and progress.history) and progress.age_of_best >= patience

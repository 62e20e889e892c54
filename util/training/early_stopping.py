"""When a run stops before its last epoch. A history has one row per epoch, see history.py."""


def collapsed(history: list[dict], patience: int | None) -> bool:
    """Whether the network gave all validation images one class in each of the last `patience`
    epochs; never without a patience."""
    last = history[-patience:] if patience else []
    return len(last) == patience and all(row["val_classes_named"] == 1 for row in last)


def stalled(history: list[dict], patience: int | None) -> bool:
    """Whether the best macro F1 is `patience` epochs old, or more; never without a patience."""
    return bool(patience and history) and age_of_best(history) >= patience


def age_of_best(history: list[dict]) -> int:
    """Epochs since the first of the highest macro F1s."""
    scores = [row["val_macro_f1"] for row in history]
    return len(scores) - 1 - scores.index(max(scores))

"""Numbers in sentences."""

from collections.abc import Mapping

# What config.choose may be.
SCORES = {
    "within_source_auroc": "within-source AUROC",
    "macro_f1": "macro F1",
    "macro_auroc": "macro AUROC",
    "loss": "loss",
}


def counted(number: int, noun: str) -> str:
    """`1 image`, `1,200 images`. noun: with a plain s in the plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def reviewed(corrections: Mapping) -> str:
    """What reviewers decided. corrections: of dataset.json."""
    changed, left_out = (corrections[name] for name in ("changed", "left_out"))
    return f"{counted(changed, 'label')} changed, {counted(left_out, 'film')} left out"

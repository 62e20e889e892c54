"""Numbers in sentences."""

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

"""Numbers in sentences."""


def counted(number: int, noun: str) -> str:
    """`1 image`, `1,200 images`. noun: with a plain s in the plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

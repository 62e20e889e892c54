"""What every benchmark prints: a table for people, or JSON."""

import json
from collections.abc import Mapping, Sequence

Row = Mapping[str, str | float]


def show(rows: Sequence[Row], as_json: bool) -> str:
    """The rows below a heading of their keys; numbers have three figures, and a missing key leaves
    its cell empty."""
    if as_json:
        return json.dumps(rows, indent=2)
    heading = list(dict.fromkeys(name for row in rows for name in row))
    lines = [heading, *([_text(row.get(name, "")) for name in heading] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)]
        )
        for line in lines
    )


def _text(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)

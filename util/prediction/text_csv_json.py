"""Predictions as text, CSV or JSON: each row is written when it is known, and none is kept.

A row is {"file", "label", "probabilities": {class: p}, "doubtful", ..., "error"}, and if sets were
asked for {"set": [class, ...], "set_note"} before "doubtful".
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence

from util.prediction.sets import in_words


def text_lines(rows: Iterable[dict], classes: Sequence[str]) -> Iterator[str]:
    """`scan.png: normal (normal 0.913, COVID-19 0.087)`, then what is doubtful; or the error."""
    for row in rows:
        chances = ", ".join(f"{name} {row['probabilities'].get(name, 0):.3f}" for name in classes)
        result = f"error: {row['error']}" if row["error"] else f"{row['label']} ({chances})"
        within = f"; set: {in_words(row)}" if row.get("set") is not None else ""
        doubt = f"; doubtful: {row['doubtful']}" if row["doubtful"] else ""
        yield printable(f"{row['file']}: {result}{within}{doubt}") + "\n"


def csv_lines(rows: Iterable[dict], classes: Sequence[str]) -> Iterator[str]:
    """A header, `file,label`, a column for each class, the rest of the row, `error`; a line each.

    What is not printable in a text is escaped: a file's name may have a line break. Classes of a
    set are joined by |, as pandas' str.get_dummies takes them apart.
    """
    header = None
    for row in rows:
        cells = {}
        for name, value in row.items():
            if name == "probabilities":
                cells |= {each: value.get(each) for each in classes}
            elif isinstance(value, list):
                cells[name] = printable("|".join(value))
            else:
                cells[name] = printable(value) if isinstance(value, str) else value
        if header is None:
            header = list(cells)
            yield _csv_line(header)
        yield _csv_line(cells.values())


def json_lines(rows: Iterable[dict], classes: Sequence[str]) -> Iterator[str]:
    """One list of all rows, a line each."""
    yield "["
    comma = "\n"
    for row in rows:
        yield comma + _json(row)
        comma = ",\n"
    yield "\n]\n"


LINES = {"text": text_lines, "csv": csv_lines, "json": json_lines}


def printable(text: str) -> str:
    """The text in one line: line breaks, control characters and broken bytes are escaped."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
        for c in text
    )


def _json(row: dict) -> str:
    line = json.dumps(row, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # a file's name in no UTF-8: escaped, it can be read back
        return json.dumps(row)
    return line


def _csv_line(cells: Iterable) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()

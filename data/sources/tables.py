"""The sources' CSV tables, read by column name whatever their encoding, and their files."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path


def require(folder: Path, name: str, source: str) -> Path:
    """`folder/name`, as the source's download has it; FileNotFoundError says what is there."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected the download of {source}")
    path = folder / name
    if not path.exists():
        found = ", ".join(sorted(p.name for p in folder.iterdir())[:5]) or "nothing"
        raise FileNotFoundError(
            f"{folder}: found {found}; expected {name}. Give the folder of {source} as downloaded"
        )
    return path


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, each a dict of stripped texts by lower-case column name.

    The file is UTF-8 or Latin-1. ValueError names those of `columns` that it lacks.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise ValueError(f"{path}: {error}; expected a CSV table") from None
    header = [name.strip().lower().replace(" ", "_") for name in (lines[0] if lines else [])]
    missing = [name for name in columns if name not in header]
    if missing:
        found = ", ".join(name for name in header if name) or "an empty file"
        raise ValueError(f"{path}: found columns {found}; expected also {', '.join(missing)}")
    padding = [""] * len(header)
    return [
        dict(zip(header, [*map(str.strip, line), *padding], strict=False)) for line in lines[1:]
    ]


def find_file(folder: Path, name: str) -> tuple[Path | None, str]:
    """The file `name` directly in `folder`, or None and the reason why there is none."""
    if not name:
        return None, "no file name"
    if Path(name).name != name or "\\" in name:
        return None, f"file name '{name}' leads out of {folder.name}/"
    path = folder / name
    try:
        there = path.is_file()
    except (OSError, ValueError):  # longer than a name can be, a NUL: a row whose columns slipped
        there = False
    return (path, "") if there else (None, f"no file {folder.name}/{name}")

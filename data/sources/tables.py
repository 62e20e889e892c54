"""What the sources share: tables read by column name, in any encoding; files; own splits."""

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path


class Mismatch(str):
    """A dropped row's reason that puts the folder in doubt: table and images do not fit together.

    If such rows outnumber the images, `data.sources.read` refuses the folder.
    """


def require(folder: Path, name: str, source: str) -> Path:
    """`folder/name` of a source's download; FileNotFoundError says what is there instead."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected the download of {source}")
    path = folder / name
    if not path.exists():
        raise FileNotFoundError(
            f"{folder}: found {contents(folder)}; expected {name}. Give the folder of {source} as"
            " downloaded"
        )
    return path


def contents(folder: Path) -> str:
    """The first five names in a folder, for a message."""
    return ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, each a dict of stripped texts by lower-case column name.

    The file is UTF-8 or Latin-1. ValueError names the missing ones of `columns`.
    """
    text = read_text(path)
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        raise ValueError(f"{path}: {error}; expected a CSV table") from None
    header = ["_".join(name.lower().split()) for name in (lines[0] if lines else [])]
    missing = [name for name in columns if name not in header]
    if missing:
        there = ", ".join(name for name in header if name)[:200] or "an empty file"
        raise ValueError(f"{path}: found columns {there}; expected also {', '.join(missing)}")
    padding = [""] * len(header)
    return [
        dict(zip(header, [*map(str.strip, line), *padding], strict=False)) for line in lines[1:]
    ]


def read_text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def find_file(folder: Path, name: str) -> tuple[Path | None, str]:
    """The file `name` directly in `folder`, or None and why there is none."""
    if not name:
        return None, Mismatch("no file name")
    if Path(name).name != name or "\\" in name:
        return None, Mismatch(f"file name '{name}' leads out of {folder.name}/")
    path = folder / name
    try:
        there = path.is_file()
    except (OSError, ValueError):  # too long, or a NUL: a row whose columns have shifted
        there = False
    return (path, "") if there else (None, Mismatch(f"no file {folder.name}/{name}"))


def own_splits(present: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The splits that images of the source's own train, val and test may go to, for those present.

    They stay where they are; train gives to val if the source has no val.
    """
    more = () if "val" in present else ("val",)
    return {name: (name, *more) if name == "train" else (name,) for name in present}

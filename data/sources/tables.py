"""What the sources share: tables read by column name, in any encoding; files; own splits."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from data.patients import join_patients
from data.record import Dropped, Record, bare, clean_age, clean_sex, clean_view, drop
from util.files import ARCHIVES, require_folder

SEPARATORS = ",;\t|"


class Mismatch(str):
    """A dropped row's reason that puts the folder in doubt: table and images do not fit together.

    If such rows outnumber the images, `data.sources.read` refuses the folder.
    """


def require(folder: Path, name: str, source: str) -> Path:
    """`folder/name` of a source's download; FileNotFoundError says what is there instead."""
    require_folder(folder, f"expected the download of {source}")
    path = folder / name
    if not path.exists():
        remedy = f"Give the folder of {source} as downloaded"
        if packed := [there for end in ARCHIVES if (there := folder / f"{name}{end}").exists()]:
            remedy = f"Unzip {packed[0].name}"
        raise FileNotFoundError(f"{folder}: found {contents(folder)}; expected {name}. {remedy}")
    if path.is_dir():
        require_folder(path, "")  # which may be read
    return path


def contents(folder: Path) -> str:
    """The first five names in a folder, for a message."""
    return ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file, each a dict of stripped texts by lower-case column name.

    The file is as `read_table_text` reads it. A name in `columns` also stands for other spellings:
    `patientid` for `Patient ID`. ValueError names the missing ones.
    """
    text, separator = read_table_text(path, columns)
    lines = _lines(path, text, separator)
    header = _header(next(lines, []), columns)
    missing = [name for name in columns if name not in header]
    if missing:
        there = ", ".join(name for name in header if name)[:200] or "an empty file"
        how = " separated by commas, semicolons or tabs" if len(header) == 1 else ""
        raise ValueError(f"{path}: found columns {there}; expected also {', '.join(missing)}{how}")
    padding = [""] * len(header)
    return [dict(zip(header, [*map(str.strip, line), *padding], strict=False)) for line in lines]


def read_table_text(path: Path, columns: Sequence[str]) -> tuple[str, str]:
    """The text of a CSV file and its separator, such as Excel writes them in any country.

    The separator is the one that a first line `sep=;` names, or else the first of SEPARATORS that
    splits the header into names which hold `columns`; if none does, the one that gives most names.
    The first line of the text is the header.
    """
    text = read_text(path)
    if named := re.match(r'"?sep=([^\w\s"]|\t)"?(?:\r\n|\r|\n)', text, re.IGNORECASE):
        return text[named.end() :], named[1]
    headers = {mark: _header(next(_lines(path, text, mark), []), columns) for mark in SEPARATORS}
    fits = [mark for mark in SEPARATORS if set(columns) <= set(headers[mark])]
    return text, fits[0] if fits else max(SEPARATORS, key=lambda mark: len(headers[mark]))


def _lines(path: Path, text: str, separator: str) -> Iterator[list[str]]:
    """The cells of each line that is not empty."""
    try:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        yield from (line for line in table if line)
    except csv.Error as error:
        raise ValueError(f"{path}: {error}; expected a CSV table") from None


def _header(names: Sequence[str], columns: Sequence[str]) -> list[str]:
    header = ["_".join(name.lower().split()) for name in names]
    wanted = {bare(name): name for name in columns if name not in header}
    return [wanted.get(bare(name), name) for name in header]


def read_text(path: Path) -> str:
    """UTF-8, UTF-16 or UTF-32 with or without a byte order mark, else Latin-1."""
    raw = path.read_bytes()
    try:
        return raw.decode(json.detect_encoding(raw))
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def find_file(folder: Path, name: str) -> tuple[Path | None, str]:
    """The file `name` directly in `folder`, or None and why there is none."""
    if name and (Path(name).name != name or "\\" in name):
        return None, Mismatch(f"file name '{name}' leads out of {folder.name}/")
    return find_below(folder, name)


def find_below(folder: Path, name: str) -> tuple[Path | None, str]:
    """The file at the path `name` from `folder`, or None and why there is none below it.

    The path may be written as on Windows.
    """
    if not name:
        return None, Mismatch("no file name")
    windows = PureWindowsPath(name)
    if windows.anchor or ".." in windows.parts[:-1]:
        return None, Mismatch(f"file name '{name}' leads out of {folder.name}/")
    for path in (folder / name, folder / windows.as_posix()):
        with suppress(OSError, ValueError):  # too long, or a NUL: a row whose columns have shifted
            if path.is_file():
                return path, ""
    return None, Mismatch(f"no file {folder.name}/{name}")


def view_and_person(row: dict[str, str]) -> dict[str, str]:
    """What a row tells in columns of these names: the `view`, `sex` and `age` of a Record."""
    cleaners = {"view": clean_view, "sex": clean_sex, "age": clean_age}
    return {name: clean(row.get(name, "")) for name, clean in cleaners.items()}


def visible_files(folder: Path) -> list[Path]:
    """The files in a folder that are not hidden, sorted by name."""
    return sorted(
        (path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")),
        key=lambda path: path.name,  # the same order on Windows
    )


def each_file_once(
    items: Iterable[Record | Dropped],
) -> tuple[list[Record], list[Dropped]]:
    """The records and the dropped rows of a table; of several records of one file the first stays.

    If they disagree on its label, none does. Patients who share a file are one patient.
    """
    items = list(items)
    records = [item for item in items if isinstance(item, Record)]
    dropped = [item for item in items if isinstance(item, Dropped)]
    patients = join_patients([r.patient_id for r in records], [r.path for r in records])
    labels, first, kept = defaultdict(set), {}, []
    for record in records:
        labels[record.path].add(record.label)
    for record, patient in zip(records, patients, strict=True):
        if len(labels[record.path]) > 1:
            dropped.append(drop(record, "rows disagree on this file's label"))
        elif record.path in first:
            dropped.append(drop(record, f"the same file as row {first[record.path]}"))
        else:
            first[record.path] = record.row
            kept.append(replace(record, patient_id=patient))
    return kept, dropped


def own_splits(present: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The splits that images of the source's own train, val and test may go to, for those present.

    They stay where they are; train gives to val if the source has no val.
    """
    more = () if "val" in present else ("val",)
    return {name: (name, *more) if name == "train" else (name,) for name in present}

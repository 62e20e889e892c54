"""Files that are either whole or not there."""

import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; it replaces `path` when the block ends well.

    A reader, or a run that is killed, sees the old file or the new one, never half of one. When the
    block raises, what it wrote is removed and `path` stays as it was; an error of the disk, such as
    that it is full, names `path`. The suffix is kept, for writers that choose a format by it. The
    folder must exist.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:  # the bytes must be on the disk before the name is
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno and error.filename is None:  # a write that fails does not say to what
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(path: str | Path) -> None:
    """NotADirectoryError if something else is there, or stands where a folder above it has to be.

    Nothing is made.
    """
    there = next(p for p in (Path(path), *Path(path).parents) if os.path.lexists(p))
    if not there.is_dir():
        raise NotADirectoryError(f"{there}: found a file; expected a folder")


def make_folder(path: str | Path) -> Path:
    """The folder, made with those above it where it is not there. Errors as of `check_folder`."""
    check_folder(path)
    Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


@contextmanager
def locked(lock: str | Path, what: str | Path) -> Iterator[None]:
    """For the block, this process is the only one that holds `lock`, a file, gone afterwards.

    The lock ends with the process, however that ends, also where a child outlives it. It holds
    between threads, too. FileExistsError while it is held elsewhere, in which `what` is written.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(
            f"{what}: another process is writing it; let it end, or choose another folder"
        ) from None
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows removes it only once it is released
            Path(lock).unlink(missing_ok=True)
        held.release()


@contextmanager
def locked_folder(folder: str | Path) -> Iterator[None]:
    """For the block, the folder is this process's: made if need be, and removed if it stays empty.

    Errors as of `locked`; OSError if the folder cannot be made.
    """
    lock = make_folder(folder) / ".lock"
    try:
        with locked(lock, folder):
            yield
    finally:
        with suppress(OSError):  # there is something in it
            lock.parent.rmdir()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON, atomically. Numpy values become plain ones, NaN and infinity null."""
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

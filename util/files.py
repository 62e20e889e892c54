"""Files that are either whole or not there, and folders."""

import errno
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}  # of a file system
ARCHIVES = (*(end for _, ends, _ in shutil.get_unpack_formats() for end in ends), ".7z", ".rar")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; it replaces `path` when the block ends well.

    A reader, or a run that is killed, sees the old file or the new one, never half of one. When the
    block raises, what it wrote is removed and `path` stays as it was; errors are named as by
    `errors_name`. The suffix is kept, for writers that choose a format by it. The folder must
    exist. PermissionError on Windows while `path` is open somewhere.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        with errors_name(path):
            yield temporary
            with temporary.open("rb+") as file:  # the bytes must be on the disk before the name is
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def half_written(name: str) -> str | None:
    """The file that `atomic_path` was writing if a killed process left one of this name, or None.

    `.last.0a1b2c3d.pth` was to become `last.pth`.
    """
    match = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}(\.\w+)?", name)
    return match and match[1] + (match[2] or "")


def is_newer(path: str | Path, other: str | Path) -> bool:
    """Whether `path` is there, and was written after `other`."""
    path, other = Path(path), Path(other)
    return path.is_file() and path.stat().st_mtime_ns >= other.stat().st_mtime_ns


@contextmanager
def errors_name(path: str | Path) -> Iterator[None]:
    """An error of the disk in the block, such as that it is full, names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:  # a write that fails does not say to what
            error.filename = str(path)
        raise


def check_folder(path: str | Path) -> None:
    """NotADirectoryError if `path` or what should be a folder above it is a file, PermissionError
    if nothing can be written there. Makes nothing.
    """
    there = next(p for p in (Path(path), *Path(path).parents) if os.path.lexists(p))
    if not there.is_dir():
        raise NotADirectoryError(f"{there}: found a file; expected a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there}: no permission to write here; choose another folder")


def make_folder(path: str | Path) -> Path:
    """The folder, made if need be with those above it. Raises what `check_folder` raises."""
    check_folder(path)
    Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def require_folder(path: str | Path, remedy: str) -> None:
    """FileNotFoundError unless `path` is a folder, PermissionError unless it may be read.

    remedy: the end of the message. An archive in the place of the folder is to be unzipped.
    """
    path = Path(path)
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise PermissionError(f"{path}: no permission to read this folder; change that")
    elif path.name.lower().endswith(ARCHIVES) and path.exists():
        raise FileNotFoundError(f"{path}: found an archive; expected a folder. Unzip it")
    else:
        found = "found a file" if path.exists() else "no such folder"
        raise FileNotFoundError(f"{path}: {found}; {remedy}")


@contextmanager
def locked(lock: str | Path, what: str | Path) -> Iterator[None]:
    """For the block, no other process holds `lock`, a file that is removed afterwards.

    FileExistsError, which names `what`, while another process holds it. The lock ends with the
    process, even if that is killed and a child outlives it. Where the file system has no locks,
    every process gets it.
    """
    held = FileLock(lock, fallback_to_soft=False)  # a soft lock outlives a process that is killed
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(
            f"{what}: another process is writing it; let it end, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        with suppress(PermissionError):  # on Windows `release` removes it
            Path(lock).unlink(missing_ok=True)
        held.release()


@contextmanager
def locked_folder(folder: str | Path) -> Iterator[None]:
    """`locked` for a folder. It is made if need be, with those above it; those of them that stay
    empty are removed."""
    folder = Path(folder)
    made = [folder, *(path for path in folder.parents if not path.exists())]
    try:
        with locked(make_folder(folder) / ".lock", folder):
            yield
    finally:
        with suppress(OSError):  # there is something in it
            for path in made:
                path.rmdir()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as JSON, atomically. Numpy values become plain ones, NaN and infinity null.

    A file name that is not valid UTF-8 is escaped as JSON does it, and is read as it was.
    """
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

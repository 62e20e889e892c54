"""The images of a split, decoded once into one array that all processes share.

    dataset/decoded/train-256x256-FINGERPRINT-FORM.npy  (images, C, H, W) uint8, as in the table

The name has the dataset's fingerprint, as an array of another dataset is not used but removed, and
a hash of the network's input format and of the table's file names in their order. An array that is
older than an image, or not whole, is made again.
"""

import hashlib
import json
import logging
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data.dataset_folder import read_about
from data.transforms import InputFormat
from util.files import atomic_path, half_written

AHEAD = 256  # images that are decoded ahead
ABANDONED = 3600  # seconds after which a half-written file that does not grow has lost its writer

log = logging.getLogger(__name__)


def decode_once(
    folder: Path,
    split: str,
    names: Sequence[str],
    form: InputFormat,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Path:
    """The .npy file of the images `names` of a split, (N, C, H, W) uint8 in `form`.

    Where the dataset's folder cannot be written to, it is made in the folder for temporary files.
    UnreadableImageError names an image that is broken; OSError if the disk is full. progress: wraps
    the files that are decoded, as tqdm does.
    """
    fingerprint = read_about(folder)["fingerprint"][:16]
    (height, width), channels = form.size, len(form.mode)
    shape = (len(names), channels, height, width)
    prepared = form.prepared and asdict(form.prepared)
    about = _short(json.dumps([form.size, prepared, form.mode, list(names)]))
    name = f"{split}-{width}x{height}-{fingerprint}-{about}.npy"
    kept, elsewhere = folder / "decoded", _elsewhere(folder)
    files = [folder / split / name for name in names]
    changed = max((file.stat().st_mtime_ns for file in files), default=0)
    for place in (kept, elsewhere):
        _remove_half_written(place)
        if _is_whole(place / name, shape) and (place / name).stat().st_mtime_ns >= changed:
            return place / name
    home = kept if os.access(kept if kept.exists() else folder, os.W_OK) else elsewhere
    home.mkdir(parents=True, exist_ok=True)
    for stale in set(home.glob(f"{split}-*.npy")) - set(home.glob(f"{split}-*-{fingerprint}-*")):
        with suppress(PermissionError):  # Windows keeps what another run reads
            stale.unlink(missing_ok=True)
    log.info("%s: %d images are decoded once into %s", split, len(files), home / name)
    _write(home / name, shape, _read_all(progress(files), form))
    return home / name


def _elsewhere(folder: Path) -> Path:
    """The folder for temporary files has one for each dataset of each user."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir(), f"covid-next-{user}", _short(str(folder.resolve())))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether an array of that shape is there, all of it."""
    try:
        return np.load(path, mmap_mode="r").shape == shape
    except (OSError, ValueError, EOFError):  # no file; no array, or one cut short; an empty file
        return False


def _remove_half_written(place: Path) -> None:
    for file in place.glob(".*.npy"):
        with suppress(OSError):  # another process was faster, or we may only read here
            if half_written(file.name) and time.time() - file.stat().st_mtime > ABANDONED:
                file.unlink()


def _read_all(files: Iterable[Path], form: InputFormat) -> Iterator[np.ndarray]:
    """In order, on all cores: Pillow lets other threads run while it decodes."""
    threads, due = ThreadPoolExecutor(os.cpu_count()), deque()
    try:
        for file in files:
            due.append(threads.submit(form.read, file))
            if len(due) > AHEAD:
                yield due.popleft().result()
        while due:
            yield due.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)  # not read to their end when the run is stopped


def _write(path: Path, shape: tuple[int, ...], images: Iterable[np.ndarray]) -> None:
    """An .npy file, whole or not at all. Not through a memory map: a full disk would kill us."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for image in images:
            file.write(image.tobytes())

"""The images of a split, decoded once into one array that all processes share.

    dataset/decoded/train-256x256-FINGERPRINT-FORM.npy  (images, C, H, W) uint8, as in the table

The name has the dataset's fingerprint, so that an array of another dataset is not used, and what is
left of one goes; and a hash of the network's input format. An array that is older than an image is
made anew.
"""

import hashlib
import json
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data.folder import read_about
from data.transforms import InputFormat

CHUNK = 256  # images that are decoded ahead

log = logging.getLogger(__name__)


def decoded(
    folder: Path,
    split: str,
    names: Sequence[str],
    form: InputFormat,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Path:
    """The .npy file of the images `names` of a split, (N, C, H, W) uint8 as of `form`.

    It is made if it is not there; where the dataset's folder cannot be written to, in the folder
    for temporary files. UnreadableImageError names an image that is broken; OSError if the disk is
    full. progress: wraps the images that are decoded, as tqdm does.
    """
    fingerprint = read_about(folder)["fingerprint"][:16]
    (height, width), channels = form.size, len(form.mode)
    name = f"{split}-{width}x{height}-{fingerprint}-{_short(form)}.npy"
    places = (folder / "decoded", Path(tempfile.gettempdir(), f"covid-next-{os.getuid()}"))
    files = [folder / split / name for name in names]
    changed = max((file.stat().st_mtime_ns for file in files), default=0)
    for place in places:
        if (place / name).is_file() and (place / name).stat().st_mtime_ns >= changed:
            return place / name
    home = places[0 if os.access(folder, os.W_OK) else 1]
    home.mkdir(exist_ok=True)
    for stale in set(home.glob(f"{split}-*.npy")) - set(home.glob(f"{split}-*-{fingerprint}-*")):
        stale.unlink(missing_ok=True)
    log.info("%s: %d images are decoded once into %s", split, len(files), home / name)
    _write(home / name, (len(files), channels, height, width), progress(_read_all(files, form)))
    return home / name


def _short(form: InputFormat) -> str:
    """What the pixels depend on, in eight letters."""
    about = json.dumps([form.size, form.prepared and asdict(form.prepared), form.mode])
    return hashlib.sha256(about.encode()).hexdigest()[:8]


def _read_all(files: Sequence[Path], form: InputFormat) -> Iterator[np.ndarray]:
    """In order, on all cores: Pillow lets other threads run while it decodes."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for begin in range(0, len(files), CHUNK):
            yield from threads.map(form.read, files[begin : begin + CHUNK])


def _write(path: Path, shape: tuple[int, ...], images: Iterable[np.ndarray]) -> None:
    """An .npy file, whole or not at all. Not through a memory map: a full disk would kill us."""
    temporary = path.with_name(f".{secrets.token_hex(4)}{path.name}")
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for image in images:
                file.write(image.tobytes())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

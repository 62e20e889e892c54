"""The files, folders and patterns that a user names -> pixels for a network, read ahead."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from glob import glob, has_magic
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from data.images.find_images import find_images
from data.images.gray import UnreadableImageError
from data.images.in_memory import InMemory
from data.images.is_radiograph import why_no_radiograph
from data.images.radiograph import read_radiograph, resize
from data.transforms import InputFormat

FRONTAL = {"PA", "AP"}  # the first word of a DICOM file's ViewPosition
FILM = 1024  # pixels of the longer side of a film that is shown
AT_ONCE = 4  # threads at most; each may hold an image of 100 million pixels


class Input(NamedTuple):
    """A file: pixels (C, H, W) uint8 as the network takes them, or None and the error.

    film is the radiograph (H, W) uint8 for the eye, FILM pixels long at most, where it is asked
    for. doubt says why the file may not be a frontal radiograph: a side view by its DICOM header, a
    colour photograph, a blank image. It is judged before the pixels lose their colour.
    """

    file: str
    pixels: np.ndarray | None
    doubt: str | None
    error: str | None
    film: np.ndarray | None = None


def find_inputs(names: str | Path | Iterable[str | Path]) -> Iterator[str]:
    """The files of each name, in order: the file itself, those of a folder, or those of a pattern.

    A folder, named or matched by a pattern, gives what `find_images` gives. A pattern is the
    shell's, with `**` for any depth; its matches are sorted. An empty folder and a pattern without
    a match are returned as they are, so that reading them reports the error. The name of an
    existing file is not a pattern. Each name is looked up when its turn comes.
    """
    for name in [names] if isinstance(names, str | os.PathLike) else names:
        yield from _expand(str(name))


def read_ahead(
    files: Iterable[str | Path], form: InputFormat, batch_size: int, films: bool = False
) -> Iterator[list[Input]]:
    """Batches of files, in order; the next batch is read while the caller works on the last.

    files: from `find_inputs`. films: whether each Input has its film. A file that cannot be read
    has its `error`, one line, and does not stop the others.
    """
    files = iter(files)
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as threads:

        def start() -> list[Future[Input]]:
            return [
                threads.submit(read_input, file, form, films) for file in islice(files, batch_size)
            ]

        batch = start()
        try:
            while batch:
                now, batch = batch, start()
                yield [reading.result() for reading in now]
        finally:  # a caller that stops early need not wait
            for reading in batch:
                reading.cancel()


def read_input(file: str | Path | InMemory, form: InputFormat, films: bool = False) -> Input:
    """One file, as in `read_ahead`; the pixels are those of `form.read`."""
    if not str(file):  # Path("") is the current folder
        return Input("", None, None, "an empty name; expected a file")
    path = file if isinstance(file, InMemory) else Path(file)
    try:
        image = read_radiograph(path, None, form.prepared and form.prepared.enough)
        film = _film(path) if films else None
        return Input(str(file), form.fit(image.convert(form.mode)), _doubt(image), None, film)
    except UnreadableImageError as error:
        return Input(str(file), None, None, _why(path, str(error).removeprefix(f"{path}: ")))


def _expand(name: str) -> list[str]:
    if os.path.isdir(name):  # noqa: PTH112, as Path's may raise PermissionError
        return [str(path) for path in find_images(name)]
    if not has_magic(name) or "\0" in name or os.path.lexists(name):  # glob takes no NUL
        return [name]
    matches = sorted(glob(name, recursive=True))  # noqa: PTH207, as Path's takes the folder separately
    files = (str(path) for match in matches for path in find_images(match))
    # `**` gives folders and their files; a file counts once.
    return list(dict.fromkeys(files)) or [name]


def _film(path: Path | InMemory) -> np.ndarray:
    """Read once more, as the network's image may be decoded too small for the eye."""
    image = read_radiograph(path, enough=FILM)
    scale = min(1, FILM / max(image.size))
    width, height = (max(1, round(scale * side)) for side in image.size)
    return np.asarray(resize(image, height, width))


def _why(path: Path | InMemory, reason: str) -> str:
    if isinstance(path, InMemory):
        return reason
    if reason == "Is a directory" or (os.name == "nt" and path.is_dir()):  # "Permission denied"
        return "a folder without an image"
    if reason == "No such file or directory" and has_magic(str(path)):
        return "no file fits the pattern"
    return reason


def _doubt(image: Image.Image) -> str | None:
    view = image.info.get("dicom", {}).get("view")
    if view and view.split()[0] not in FRONTAL:
        return f"its DICOM header says view {view}; expected PA or AP"
    return why_no_radiograph(image)

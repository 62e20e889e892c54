"""The files of a folder that can be radiographs."""

import os
import stat
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from PIL import Image

from data.images.file_kind import FORMATS, is_dicom, may_be_radiograph, read_head
from data.images.in_memory import InMemory

DICOM = (".dcm", ".dicom")
SUFFIXES = (*DICOM, ".heic", ".heif", ".jxl")  # beside those that Pillow knows


def find_images(name: str | Path) -> list[Path]:
    """The file itself; of a folder every file below it that can be a radiograph, sorted.

    These are the files with the suffix of an image, even broken ones, and the others that begin as
    an image or a DICOM file does, whatever their names. So what lies beside the films of an export
    is passed over: DICOMDIR, README, and reports in DICOM, also with its suffix. Hidden names
    (`.git`, `.ipynb_checkpoints`) are skipped. A folder without an image is returned itself, and so
    are a folder and a file below that cannot be read: reading them reports the reason.
    """
    path = Path(name)
    if not os.path.isdir(path):  # noqa: PTH112, as Path's may raise PermissionError
        return [path]
    suffixes = _suffixes()
    images, closed = [], []
    for folder, below, files in os.walk(path, onerror=closed.append):
        below[:] = [name for name in below if not name.startswith(".")]
        paths = [Path(folder, name) for name in files if not name.startswith(".")]
        images += [p for p in paths if _is_candidate(p, suffixes)]
    images += [Path(error.filename) for error in closed]
    # By parts, as Windows would sort the paths themselves without regard to case.
    return sorted(images, key=lambda file: file.parts) or [path]


def is_candidate(file: InMemory) -> bool:
    """Whether `find_images` gives this file, whose name begins with that of its folder."""
    hidden = any(part.startswith(".") for part in PurePosixPath(file.name).parts)
    return not hidden and _is_candidate(file, _suffixes())


def _suffixes() -> set[str]:
    pillows = Image.registered_extensions().items()
    return {suffix for suffix, kind in pillows if kind in FORMATS} | {*SUFFIXES}


def _is_candidate(path: Path | InMemory, suffixes: Collection[str]) -> bool:
    named = path.suffix.lower() in suffixes
    if named and path.suffix.lower() not in DICOM:  # of which exports also have reports
        return True
    try:
        # To open a pipe would wait for its writer.
        if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
            return named
        head = read_head(path)
        return (named and not is_dicom(head)) or may_be_radiograph(head)
    except OSError:
        return True

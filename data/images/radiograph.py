"""Any image file -> an 8-bit radiograph. Training, evaluation and prediction read through here."""

import os
import re
import stat
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from data.images.codestream import repair
from data.images.file_kind import (
    FORMATS,
    is_dicom,
    picture_format,
    read_head,
    why_no_image,
)
from data.images.gray import (
    MAX_BYTES,
    UnreadableImageError,
    by_table,
    check_size,
    to_8bit,
    usual_range,
)
from data.images.in_memory import InMemory
from data.images.warnings_off import warnings_off

# Errors whose text is written for people; others speak of Python.
PLAIN = (ValueError, RuntimeError, EOFError, SyntaxError, Image.DecompressionBombError)
OF_PYTHON = re.compile(r"\w\(\)|to unpack|convert string")  # in texts of its own ValueErrors


def read_radiograph(
    path: str | Path | InMemory, mode: str | None = "L", enough: int | None = None
) -> Image.Image:
    """The image of a PNG, JPEG, WebP, TIFF, ... or DICOM file, by its content, not its name.

    Returns 8-bit grayscale (`mode="L"`), `"RGB"` for networks that were trained on colour, or
    whichever of the two the file has (`None`).
    16 bits are scaled by robust percentiles, transparency lies on black, EXIF rotation is applied.
    If both sides of a JPEG have at least twice `enough` pixels, it may come back smaller by a power
    of two, with no side below `enough`: that decodes in half the time. `info["size"]` has the width
    and height of the file.
    Whatever is wrong is an UnreadableImageError of one line, which begins with the path.
    """
    path = path if isinstance(path, InMemory) else Path(path)
    try:
        if _bytes(path) > MAX_BYTES:
            raise UnreadableImageError(f"more than {MAX_BYTES:,} bytes, as no radiograph has")
        with warnings_off():
            image = _read(path, enough)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{path}: {error}") from None
    except OSError as error:  # also Pillow's for what is cut off
        # Windows words `strerror` in its own way
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UnreadableImageError(f"{path}: {reason}") from None
    except Exception as error:  # codecs raise errors of any type and of many lines
        told = isinstance(error, PLAIN) and not isinstance(error, RecursionError)
        reason = " ".join(str(error).split())
        reason = reason if told and not OF_PYTHON.search(reason) else ""
        raise UnreadableImageError(f"{path}: broken image{reason and f' ({reason})'}") from None
    return image.convert(mode) if mode else image


def image_size(path: Path) -> tuple[int, int] | None:
    """Width and height as stored, by the header: no pixel is decoded. None where it cannot be read;
    `read_radiograph` says why.
    """
    try:
        if not path.is_file():
            return None
        if is_dicom(read_head(path)):
            from data.images.dicom import read_size  # late, as in _read_dicom

            return read_size(path)
        with warnings_off(), Image.open(path, formats=FORMATS) as image:
            return image.size
    except Exception:  # codecs raise errors of any type
        return None


def resize(image: Image.Image, height: int, width: int) -> Image.Image:
    """Squashes to the size: bilinear, antialiased when it shrinks, as COVID-Next of 2020 did."""
    if image.size == (width, height):
        return image
    # First by a whole factor, to 3 times the size or more: nearly the same image, and faster.
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _bytes(path: Path | InMemory) -> int:
    if isinstance(path, InMemory):
        return len(path.content)
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
        raise UnreadableImageError("a device or a pipe, which may never end; expected a file")
    return about.st_size


def _read(path: Path | InMemory, enough: int | None) -> Image.Image:
    head = read_head(path)
    if is_dicom(head):
        return _read_dicom(path, enough)
    kind, reason = picture_format(head), why_no_image(head)
    if kind:
        try:
            return _read_picture(path.open() if isinstance(path, InMemory) else path, enough)
        except Image.UnidentifiedImageError:
            reason = reason or f"a broken {kind} image"
        except OSError as error:
            if error.errno:
                raise
            if kind == "JPEG":
                with suppress(ValueError):  # more than the end marker is missing
                    whole = repair(path.read_bytes().rstrip(b"\xff"), _decode)
                    return _read_picture(BytesIO(whole), enough)
            if not reason:  # else a text that begins as an image does
                raise
        except ValueError as error:
            if not reason or isinstance(error, UnreadableImageError):
                raise
    elif not reason and path.suffix.lower() in {".dcm", ".dicom"}:
        return _read_dicom(path, enough)
    raise UnreadableImageError(reason or "not an image")


def _read_dicom(path: Path | InMemory, enough: int | None) -> Image.Image:
    from data.images.dicom import read_dicom  # pydicom takes 0.3 s, which a PNG need not wait for

    return read_dicom(path, enough)


def _read_picture(file: Path | BytesIO, enough: int | None) -> Image.Image:
    with Image.open(file, formats=FORMATS) as image:
        check_size(image.height, image.width)
        size = image.size
        if enough:
            image.draft(None, (enough, enough))
        lying = image.size
        ImageOps.exif_transpose(image, in_place=True)
        # What a stranger wrote into the file is not a fact of the image.
        info = {"size": size if image.size == lying else size[::-1]}
        image = _to_8bit(image)
    image.info = info
    return image


def _decode(jpeg: bytes) -> np.ndarray:
    with Image.open(BytesIO(jpeg), formats=["JPEG"]) as image:
        return np.asarray(image)


def _to_8bit(image: Image.Image) -> Image.Image:
    """`L` or `RGB`."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        values = np.asarray(image)
        low, high = usual_range(values)
        return Image.fromarray(by_table(values, partial(to_8bit, low=low, high=high)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, "black")
        return Image.alpha_composite(black, image).convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")

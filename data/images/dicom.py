"""DICOM -> 8-bit grayscale, in the order of the standard (PS3.4 N.2) and by pydicom's functions.

Modality LUT or rescale; VOI LUT or window; 0 .. 255 by the range that the window or the stored bits
define, or by percentiles where neither says; MONOCHROME1 inverted, so that dense is bright.
"""

import logging
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from data.images.frame_size import frame_size
from data.images.gray import (
    MAX_BYTES,
    UnreadableImageError,
    by_table,
    check_size,
    to_8bit,
    usual_range,
)
from data.images.warnings_off import warnings_off
from data.record import clean_age, clean_sex, clean_view

# Transfer syntaxes whose frames state their size; RLE goes by the header.
FRAMED = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}
CODECS = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


def read_dicom(path: Path, enough: int | None = None) -> Image.Image:
    """A DICOM file's radiograph, 8-bit gray; `enough` and `info["size"]` as in read_radiograph.

    `info["dicom"]` has `view`, `sex`, `age` (years), empty where the header does not tell. Raises
    UnreadableImageError with the reason for what is not a single grayscale frame, and whatever
    pydicom and its codecs raise for a broken file.
    """
    _mute_log()
    content = path.read_bytes()
    _check_inflated(content)
    with pydicom.config.disable_value_validation():  # odd ages do not matter for the pixels
        dataset = pydicom.dcmread(BytesIO(content), force=True)
        # Without a file header it is in the standard's default syntax (PS3.5, 10.1).
        dataset.file_meta.setdefault("TransferSyntaxUID", ImplicitVRLittleEndian)
        _check(dataset)
        stored = _decode(dataset, enough)
        low, high = _value_range(dataset)
        if low is None:
            low, high = sorted(apply_modality_lut(np.array(usual_range(stored)), dataset))
        for table in dataset.get("VOILUTSequence") or ():
            table.LUTDescriptor[2] = 16  # of 8-bit tables pydicom counts the entries in 8 bits
        gray = by_table(stored, partial(_to_gray, dataset=dataset, low=low, high=high))
        view, sex, age = _tags(dataset, "ViewPosition", "PatientSex", "PatientAge")
    image = Image.fromarray(gray)
    image.info["size"] = (dataset.Columns, dataset.Rows)
    image.info["dicom"] = {"view": clean_view(view), "sex": clean_sex(sex), "age": clean_age(age)}
    return image


def read_patient_id(path: Path) -> str:
    """`PatientID` without the spaces around it; empty where the header, or the file, has none."""
    return _header(path, "PatientID")[0].strip()


def read_size(path: Path) -> tuple[int, int] | None:
    """Width and height by the header; None where it, or the file, does not tell."""
    columns, rows = _header(path, "Columns", "Rows")
    return (int(columns), int(rows)) if columns and rows else None


def _header(path: Path, *names: str) -> list[str]:
    """`_tags` of a file whose pixels are not read; all empty where it cannot be read."""
    _mute_log()
    nothing = [""] * len(names)
    try:
        with warnings_off(), pydicom.config.disable_value_validation():
            with path.open("rb") as file:
                if DeflatedExplicitVRLittleEndian.encode() in file.read(4096):
                    return nothing  # pydicom would inflate all of it, which may be terabytes
            header = pydicom.dcmread(
                path, stop_before_pixels=True, specific_tags=[*names], force=True
            )
            return _tags(header, *names)
    except Exception:  # pydicom raises errors of any type; reading the image reports them
        return nothing


def _mute_log() -> None:
    """pydicom logs what is odd in a file; callers get pixels, or the one reason why there are none.

    Called before each reading, as the import of pydicom sets the level of its logger. The level is
    not restored: files are read in threads (data/inputs.py), and one would restore it while another
    still reads.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def _tags(dataset: pydicom.Dataset, *names: str) -> list[str]:
    return [str(dataset.get(name) or "") for name in names]


def _check_inflated(content: bytes) -> None:
    """A deflated file of a few MB can hold terabytes, and pydicom would inflate them all."""
    if DeflatedExplicitVRLittleEndian.encode() not in content:
        return
    file = BytesIO(content)
    read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(content[file.tell() :], MAX_BYTES)
        if inflater.unconsumed_tail:
            raise UnreadableImageError(
                f"more than {MAX_BYTES:,} bytes once inflated, as no radiograph has"
            )


def _check(dataset: pydicom.Dataset) -> None:
    if "PixelData" not in dataset:
        raise UnreadableImageError("DICOM without pixel data, or cut off; expected a radiograph")
    kind = dataset.get("PhotometricInterpretation", "of unknown kind")
    if dataset.get("SamplesPerPixel", 1) != 1 or kind not in {"MONOCHROME1", "MONOCHROME2"}:
        raise UnreadableImageError(f"a colour DICOM ({kind}); expected grayscale")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnreadableImageError(f"{dataset.NumberOfFrames} frames; expected one radiograph")
    check_size(dataset.Rows, dataset.Columns)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not _has_decoder(syntax):
        raise UnreadableImageError(f"no decoder for transfer syntax {syntax.name}; {CODECS}")


def _has_decoder(syntax: UID) -> bool:
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _decode(dataset: pydicom.Dataset, enough: int | None) -> np.ndarray:
    """The stored values (H, W), as integers or, of odd kinds, floats."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in FRAMED:  # a codec allocates what the frame claims, however much that is
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        columns, rows = frame_size(frame)
        if (columns, rows) != (dataset.Columns, dataset.Rows):
            raise UnreadableImageError(
                f"the compressed image is {columns} x {rows}; expected {dataset.Columns} x"
                f" {dataset.Rows}, as the header says"
            )
    if syntax == JPEGBaseline8Bit and not dataset.PixelRepresentation:
        # Pillow is 8 times as fast here as pylibjpeg, and within one gray level of it.
        with Image.open(BytesIO(frame), formats=["JPEG"]) as image:
            if enough:
                image.draft(None, (enough, enough))
            return np.asarray(image if image.mode == "L" else image.convert("L"))
    dataset.pixel_array_options(index=0)
    return dataset.pixel_array


def _to_gray(values: np.ndarray, dataset: pydicom.Dataset, low: float, high: float) -> np.ndarray:
    """Stored values -> 0 .. 255; low and high are black and white after both steps of pydicom."""
    values = apply_voi_lut(apply_modality_lut(values, dataset), dataset, prefer_lut=True)
    gray = to_8bit(values, low, high)
    return 255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray


def _value_range(dataset: pydicom.Dataset) -> tuple[float | None, float | None]:
    """What is black and what is white after pydicom's last step; (None, None) where nothing says.

    Black is the higher number after a window and a negative slope: pydicom maps so.
    """
    if voi := dataset.get("VOILUTSequence"):
        return 0, 2 ** int(voi[0].LUTDescriptor[2]) - 1
    windowed = None not in (dataset.get("WindowWidth"), dataset.get("WindowCenter"))
    if not windowed and dataset.BitsStored > 8:
        return None, None
    if modality := dataset.get("ModalityLUTSequence"):
        return 0, 2 ** int(modality[0].LUTDescriptor[2]) - 1
    bits = dataset.BitsStored
    low, high = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if dataset.PixelRepresentation
        else (0, 2**bits - 1)
    )
    slope, shift = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is not None and shift is not None:
        low, high = slope * low + shift, slope * high + shift
    return (low, high) if windowed else (min(low, high), max(low, high))

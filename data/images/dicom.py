"""A DICOM file -> an 8-bit radiograph, and what its header tells of the patient."""

import logging
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from data.images.dicom_frame import check_syntax, read_frame
from data.images.dicom_gray import to_gray
from data.images.gray import MAX_BYTES, UnreadableImageError, check_size
from data.images.in_memory import InMemory
from data.images.warnings_off import warnings_off
from data.record import clean_age, clean_sex, clean_view

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
COLOURS = (
    *("PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422"),
    *("YBR_ICT", "YBR_RCT"),
)


def read_dicom(path: Path | InMemory, enough: int | None = None) -> Image.Image:
    """A DICOM file's radiograph, 8-bit gray; `enough` and `info["size"]` as in read_radiograph.

    `info["dicom"]` has `view`, `sex`, `age` (years), empty where the header does not tell. Raises
    UnreadableImageError with the reason for what is not a single frame in grayscale, and whatever
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
        gray = to_gray(read_frame(dataset, enough), dataset)
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
    """Refuses what is not a single image; fills in what a header may lack."""
    if "PixelData" not in dataset:
        raise UnreadableImageError("DICOM without pixel data, or cut off; expected a radiograph")
    for name in ("Rows", "Columns", "BitsAllocated"):
        if not isinstance(dataset.get(name), int):
            raise UnreadableImageError(
                f"no {name} in the DICOM header, without which no pixel is read"
            )
    for name, usual in (("BitsStored", dataset.BitsAllocated), ("PixelRepresentation", 0)):
        if not isinstance(dataset.get(name), int):
            setattr(dataset, name, usual)
    dataset.BitsStored = dataset.BitsStored or dataset.BitsAllocated
    kind = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    kind = kind.replace("MONOCHROME ", "MONOCHROME")
    if kind not in {*MONOCHROME, *COLOURS}:
        found = f"PhotometricInterpretation {kind}" if kind else "no PhotometricInterpretation"
        raise UnreadableImageError(
            f"{found}; expected MONOCHROME1 or MONOCHROME2, which say whether bright is dense"
        )
    dataset.PhotometricInterpretation = kind
    expected = 1 if kind in {*MONOCHROME, "PALETTE COLOR"} else 3
    samples = dataset.SamplesPerPixel = dataset.get("SamplesPerPixel") or expected
    if samples != expected:
        raise UnreadableImageError(f"{samples} samples a pixel, but {kind}; expected grayscale")
    dataset.setdefault("PlanarConfiguration", 0)
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnreadableImageError(f"{dataset.NumberOfFrames} frames; expected one radiograph")
    check_size(dataset.Rows, dataset.Columns)
    check_syntax(dataset)

"""DICOM -> 8-bit grayscale, in the order of the standard (PS3.4 N.2) and by pydicom's functions.

Modality LUT or rescale; VOI LUT or window; 0 .. 255 by the range that the window or the stored bits
define, or by percentiles where neither says; MONOCHROME1 turned round, so that dense is bright.
"""

import warnings
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.uid import UID, ImplicitVRLittleEndian

from data.pixels import UnreadableImageError, check_size, to_8bit
from data.record import clean_age, clean_sex, clean_view

CODECS = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


def read_dicom(path: Path) -> np.ndarray:
    """The radiograph of a DICOM file as uint8 (H, W).

    Raises UnreadableImageError with the reason for what is no single grayscale frame, and whatever
    pydicom and its codecs raise for a broken file.
    """
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")  # odd ages and padding are no concern of the pixels
        dataset = pydicom.dcmread(path, force=True)
        # Without a file header it is in the standard's default syntax (PS3.5, 10.1).
        dataset.file_meta.setdefault("TransferSyntaxUID", ImplicitVRLittleEndian)
        _check(dataset)
        values = apply_modality_lut(dataset.pixel_array, dataset)
        values = apply_voi_lut(values, dataset, prefer_lut=True)
        low, high = _value_range(dataset)
        gray = to_8bit(values, low, high)
    return 255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray


def read_header(path: Path) -> dict[str, str]:
    """`view`, `sex` and `age` (years) as the header has them; empty where it does not."""
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        tags = ["ViewPosition", "PatientSex", "PatientAge"]
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
        view, sex, age = (str(header.get(tag) or "") for tag in tags)
    return {"view": clean_view(view), "sex": clean_sex(sex), "age": clean_age(age)}


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

"""Writes DICOM files of all the kinds that occur in real data."""

from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import config as pydicom_config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from data.sample.files import encode


def write_dicom(
    path: Path,
    pixels: np.ndarray,
    transfer_syntax: str = ExplicitVRLittleEndian,
    **attributes: object,
) -> None:
    """Write a DICOM file whose bytes depend only on the arguments.

    `pixels` is (rows, columns), (frames, rows, columns) or colour (rows, columns, 3), of 8 or 16
    bits, signed or not. `transfer_syntax` is JPEG baseline (8-bit grey), uncompressed or what
    pydicom can compress to without loss. `attributes` are DICOM keywords, such as
    PhotometricInterpretation="MONOCHROME1", BitsStored=12, WindowCenter=40. They override what
    `pixels` says and are not checked, so that tests can write what real files hold.
    """
    uid, study, series = (
        generate_uid(entropy_srcs=[path.name, level]) for level in ("image", "study", "series")
    )
    header = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "Modality": "CR",
        **_pixel_module(pixels, attributes.get("BitsStored", 8 * pixels.itemsize)),
        **attributes,
    }
    dataset = Dataset()
    for keyword, value in header.items():
        tag = tag_for_keyword(keyword)
        vr = "OW" if keyword == "PixelData" else dictionary_VR(tag)
        dataset.add(DataElement(tag, vr, value, validation_mode=pydicom_config.IGNORE))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if transfer_syntax == JPEGBaseline8Bit:  # the one that pydicom cannot compress to
        jpeg = encode(Image.fromarray(pixels), "JPEG", quality=88)
        dataset.add_new("PixelData", "OB", encapsulate([jpeg]))
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
    elif transfer_syntax != ExplicitVRLittleEndian:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def _pixel_module(pixels: np.ndarray, bits_stored: int) -> dict[str, object]:
    """Return the attributes that describe and hold uncompressed pixels (DICOM PS3.3 C.7.6.3)."""
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    rows, columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    module = {
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": bits_stored,
        "HighBit": bits_stored - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    }
    if colour:
        return {**module, "PlanarConfiguration": 0}
    return {**module, "NumberOfFrames": len(pixels)} if pixels.ndim == 3 else module

"""The frame of a DICOM file -> its stored values, by whichever of the installed decoders can."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO

import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_color_lut, get_decoder
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from data.images.codestream import frame_header, repair
from data.images.gray import UnreadableImageError, check_size

# Transfer syntaxes whose frames describe themselves; RLE goes by the header.
FRAMED = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}
CODECS = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
ALIKE = 8  # of 255; channels of a gray image differ by less once it was compressed
COLOURED = 0.02  # the part of the pixels that may differ by more: arrows and marks


def check_syntax(dataset: pydicom.Dataset) -> None:
    """UnreadableImageError for a transfer syntax without a decoder here."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        if not get_decoder(syntax).is_available:
            raise UnreadableImageError(f"no decoder for transfer syntax {syntax.name}; {CODECS}")
    except NotImplementedError:
        raise UnreadableImageError(
            f"pixels in the {'private ' * syntax.is_private}transfer syntax {syntax.name}, which"
            " nothing here decodes; export the image uncompressed"
        ) from None


def read_frame(dataset: pydicom.Dataset, enough: int | None) -> np.ndarray:
    """The stored values (H, W), as integers or, of odd kinds, floats.

    Of a gray image that is stored in colour they are its 8-bit gray; one with colours is an
    UnreadableImageError. Rows, columns and bits in the dataset become those of the frame. `enough`
    as in read_radiograph.
    """
    kind = dataset.PhotometricInterpretation
    with _all_bits(dataset) as bits:
        stored = _decode(dataset, enough)
    used = dataset.BitsStored
    if kind == "PALETTE COLOR":
        stored = _coloured(stored, dataset)
        used = 8 * stored.itemsize
    if stored.ndim == 2:
        return _in_lowest(stored, bits, dataset)
    stored = (stored >> max(0, used - 8)).clip(0, 255).astype(np.uint8)
    dataset.BitsAllocated = dataset.BitsStored = 8
    return _gray(stored, kind)


def _decode(dataset: pydicom.Dataset, enough: int | None) -> np.ndarray:
    """(H, W), or (H, W, 3) of an image in colour."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in FRAMED:
        return get_decoder(syntax).as_array(dataset, index=0, raw=True)[0]
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    _describe(dataset, frame)  # a codec allocates what the frame claims, however much that is
    by_pillow = partial(_by_pillow, enough=enough)
    decoders = [partial(_by_pydicom, dataset=dataset), by_pillow]
    if syntax == JPEGBaseline8Bit and not dataset.PixelRepresentation:
        # Pillow is 8 times as fast here as pylibjpeg, and within one gray level of it.
        decoders.reverse()
    decode = partial(_by_first, decoders)
    return decode(repair(frame, decode))


def _describe(dataset: pydicom.Dataset, frame: bytes) -> None:
    """Corrects what the header says of the frame: old systems and converters forget to."""
    columns, rows, bits, samples = frame_header(frame)
    if not (columns and rows):
        raise UnreadableImageError(f"the compressed image has {columns} x {rows} pixels")
    check_size(rows, columns)
    dataset.Columns, dataset.Rows, dataset.SamplesPerPixel = columns, rows, samples
    allocated = 8 if bits <= 8 else 16
    if dataset.BitsStored > allocated or dataset.BitsAllocated < bits:
        dataset.BitsStored = bits
    dataset.BitsAllocated = allocated
    if (samples == 1) != dataset.PhotometricInterpretation.startswith("MONOCHROME"):
        dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"


def _by_first(decoders: Sequence[Callable[[bytes], np.ndarray]], frame: bytes) -> np.ndarray:
    for decode in decoders:
        try:
            return decode(frame)
        except Exception:  # codecs raise errors of any type
            continue
    raise UnreadableImageError("broken image: no decoder here reads its compressed pixels")


def _by_pydicom(frame: bytes, dataset: pydicom.Dataset) -> np.ndarray:
    dataset.PixelData = encapsulate([frame])
    return get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(dataset, index=0, raw=True)[0]


def _by_pillow(frame: bytes, enough: int | None) -> np.ndarray:
    with Image.open(BytesIO(frame), formats=["JPEG", "JPEG2000"]) as image:
        if enough:
            image.draft(None, (enough, enough))
        return np.asarray(image if image.mode in {"L", "RGB"} else image.convert("L"))


@contextmanager
def _all_bits(dataset: pydicom.Dataset) -> Iterator[int]:
    """The bits up to the highest one, within; beyond BitsStored pydicom's decoders clear them."""
    stored, allocated = dataset.BitsStored, dataset.BitsAllocated
    bits = max(stored, (dataset.get("HighBit") or 0) + 1)
    if bits > max(stored, allocated):
        raise UnreadableImageError(
            f"HighBit {bits - 1} in values of {allocated} bits; expected {stored - 1}"
        )
    dataset.BitsStored = bits
    yield bits
    if dataset.BitsStored == bits:  # the frame did not say otherwise
        dataset.BitsStored = stored


def _in_lowest(stored: np.ndarray, bits: int, dataset: pydicom.Dataset) -> np.ndarray:
    """Values that end above the lowest bit, moved there (PS3.5, 8.1.1); some only claim to."""
    above, largest = bits - dataset.BitsStored, 2**dataset.BitsStored
    if above <= 0 or max(int(stored.max()), -int(stored.min())) < largest:
        return stored
    return stored >> above


def _coloured(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    try:
        return apply_color_lut(stored, dataset)
    except Exception:  # of any type, for what a header may lack
        raise UnreadableImageError("a palette of colours that is not there or broken") from None


def _gray(pixels: np.ndarray, kind: str) -> np.ndarray:
    """(H, W) of pixels (H, W, 3) uint8 without colours, as RGB or with luminance first (YBR).

    What the header calls it decides nothing: many converters write the other name.
    """
    channels = pixels.astype(np.int16)
    if _mostly(np.ptp(channels, axis=2) <= ALIKE):
        return np.asarray(Image.fromarray(pixels).convert("L"))
    if _mostly((np.abs(channels[..., 1:] - 128) <= ALIKE).all(axis=2)):
        return pixels[..., 0]
    raise UnreadableImageError(f"a colour DICOM ({kind}); expected grayscale")


def _mostly(gray: np.ndarray) -> bool:
    return 1 - gray.mean() <= COLOURED

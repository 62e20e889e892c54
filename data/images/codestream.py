"""Compressed frames, before a codec sees them: what they say of themselves, and small repairs.

JPEG and JPEG lossless: ITU-T T.81, annex B. JPEG-LS: T.87, annex C. JPEG 2000: T.800, annex A.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

# SOF0 .. SOF15 without DHT, JPG and DAC, which lie between them; SOF55 of JPEG-LS.
START_OF_FRAME = {*range(0xFFC0, 0xFFD0), 0xFFF7} - {0xFFC4, 0xFFC8, 0xFFCC}
SEQUENTIAL = {0xFFC0, 0xFFC1}  # Huffman-coded: each scan holds all coefficients
START_OF_SCAN = 0xFFDA
START, END = b"\xff\xd8", b"\xff\xd9"  # of a JPEG; JPEG 2000 ends with the same
JPEG_2000 = b"\xff\x4f\xff\x51"  # SOC and SIZ, also inside a JP2 file
FILLERS = (b"\x55" * 1024, b"\xaa" * 1024)  # entropy-coded data of no image, without a marker


class Frame(NamedTuple):
    """What a compressed frame says of itself: pixels, bits of a value, values of a pixel."""

    columns: int
    rows: int
    bits: int
    samples: int


def frame_header(data: bytes) -> Frame:
    """ValueError if the data have no header.

    A JPEG of 64 px that claims 65,500 x 65,500 makes `libjpeg.get_parameters` take 16 GiB: asking
    the codec for the size is too late.
    """
    try:
        if (start := data.find(JPEG_2000)) >= 0:
            right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
            samples, bits = struct.unpack_from(">HB", data, start + 40)
            return Frame(right - left, bottom - top, (bits & 127) + 1, samples)
        place = _segment(data, START_OF_FRAME)
        bits, rows, columns, samples = struct.unpack_from(">BHHB", data, place + 4)
    except struct.error:
        raise ValueError("cut off before the start of the frame") from None
    return Frame(columns, rows, bits, samples)


def repair(data: bytes, decode: Callable[[bytes], np.ndarray]) -> bytes:
    """The frame with its end marker, and with the scan parameters that T.81 demands.

    Old computed-radiography systems wrote neither. decode: bytes -> pixels. ValueError if more
    than the end marker is missing: codecs fill up the rest in silence.
    """
    data = data.rstrip(b"\0")  # DICOM pads to an even length
    if data.startswith(START):
        data = _with_scan_parameters(data)
    if data.rstrip(b"\xff").endswith(END):
        return data
    data = data.rstrip(b"\xff")  # half of the marker
    if data.startswith(START) and not _is_whole(data, decode):
        raise ValueError("the compressed image is cut off")
    return data + END


def _is_whole(data: bytes, decode: Callable[[bytes], np.ndarray]) -> bool:
    """Whether only the end marker is missing: then nothing that follows the data is read."""
    try:
        pixels = decode(data + END)
        return all(np.array_equal(decode(data + more + END), pixels) for more in FILLERS)
    except Exception:  # codecs raise errors of any type
        return False


def _with_scan_parameters(data: bytes) -> bytes:
    try:
        place = _segment(data, START_OF_FRAME)
        if struct.unpack_from(">H", data, place)[0] not in SEQUENTIAL:
            return data
        place = _segment(data, {START_OF_SCAN})
        (length,) = struct.unpack_from(">H", data, place + 2)
    except (ValueError, struct.error):
        return data  # the decoder says what is wrong
    end = place + 2 + length
    return data[: end - 3] + bytes((0, 63, 0)) + data[end:]  # first and last coefficient, no shift


def _segment(data: bytes, markers: set[int]) -> int:
    """Where the first segment of a JPEG with one of the markers begins."""
    place = 2  # behind SOI
    while True:
        marker, length = struct.unpack_from(">HH", data, place)
        if marker == 0xFFFF:  # a fill byte
            place += 1
            continue
        if marker in markers:
            return place
        if marker < 0xFF00 or marker == START_OF_SCAN:
            raise ValueError(f"no start of frame; found {marker:04X} at byte {place}")
        place += 2 + length

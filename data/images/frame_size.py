"""The size that a compressed image claims, read before a codec allocates memory for it.

A JPEG of 64 px that claims 65,500 x 65,500 makes `libjpeg.get_parameters` take 16 GiB: asking the
codec for the size is too late.

JPEG and JPEG lossless: ITU-T T.81, annex B. JPEG-LS: T.87, annex C. JPEG 2000: T.800, annex A.
"""

import struct

# SOF0 .. SOF15 without DHT, JPG and DAC, which lie between them; SOF55 of JPEG-LS.
START_OF_FRAME = {*range(0xFFC0, 0xFFD0), 0xFFF7} - {0xFFC4, 0xFFC8, 0xFFCC}
START_OF_SCAN = 0xFFDA
JPEG_2000 = b"\xff\x4f\xff\x51"  # SOC and SIZ, also inside a JP2 file


def frame_size(data: bytes) -> tuple[int, int]:
    """Columns and rows; ValueError if no header gives them."""
    try:
        if (start := data.find(JPEG_2000)) >= 0:
            right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
            return right - left, bottom - top
        place = 2  # behind SOI
        while True:
            marker, length = struct.unpack_from(">HH", data, place)
            if marker == 0xFFFF:  # a fill byte
                place += 1
                continue
            if marker in START_OF_FRAME:
                rows, columns = struct.unpack_from(">HH", data, place + 5)
                return columns, rows
            if marker < 0xFF00 or marker == START_OF_SCAN:
                raise ValueError(f"no start of frame; found {marker:04X} at byte {place}")
            place += 2 + length
    except struct.error:
        raise ValueError("cut off before the start of the frame") from None

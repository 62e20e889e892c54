"""JPEG lossless, as many DICOM files hold it; no installed codec writes it."""

import struct

import numpy as np


def jpeg_lossless(values: np.ndarray, bits: int) -> bytes:
    """Values (H, W) as a JPEG of process 14, selection value 1 (ITU-T T.81, annex H)."""
    values = values.astype(np.int64)
    guess = np.roll(values, 1, axis=1)  # the left neighbour; the upper one in the first column
    guess[1:, 0] = values[:-1, 0]
    guess[0, 0] = 1 << (bits - 1)
    code = ""  # the size of the difference in 5 bits, then its bits
    for step in ((values - guess + 32768) % 65536 - 32768).flat:
        size = int(abs(step)).bit_length() if step != -32768 else 16
        code += f"{size:05b}"
        if 0 < size < 16:
            code += f"{step if step > 0 else step + (1 << size) - 1:0{size}b}"
    code += "1" * (-len(code) % 8)
    data = int(code, 2).to_bytes(len(code) // 8, "big").replace(b"\xff", b"\xff\x00")
    height, width = values.shape
    frame = struct.pack(">HBHHB3B", 11, bits, height, width, 1, 1, 0x11, 0)
    sizes = struct.pack(">HB16B17B", 36, 0, *[0] * 4, 17, *[0] * 11, *range(17))
    scan = struct.pack(">HB2B3B", 8, 1, 1, 0, 1, 0, 0)
    return b"\xff\xd8\xff\xc3%b\xff\xc4%b\xff\xda%b%b\xff\xd9" % (frame, sizes, scan, data)

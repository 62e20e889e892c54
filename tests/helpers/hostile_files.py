"""Files that nobody should be sent: each maker writes some to a folder and gives their names."""

import os
import struct
import zlib

import numpy as np
from PIL import Image

from data.sample.dicom import write_dicom
from tests.fuzz import damage, whole_files

DAMAGED = 940
NAMES = [
    b"two\nlines.png", b"tab\t.png", b"Ro\xcc\x88ntgen.png", "胸部.png".encode(), b"\xff\xfe.png",
    b"\x1b[2J.png", b"-h.png", b"--.png", b"=cmd().png", b"100%.png", b"*.png", b"[a].png",
    b" .png",
    b"'quote\".png", "\U0001f600.png".encode(), "right\u202eto-left.png".encode(), b"a,b;c.png",
    b"x" * 250 + b".png", b"{name}.png", b"$HOME.png", b"\\n.png", b"nul\\0.png", b"~.png",
]  # fmt: skip
SHAPES = [(1, 1), (1, 3000), (3000, 1), (2, 2), (1, 2), (33, 31)]


def damaged(folder, count=DAMAGED):
    whole = whole_files(folder)
    for number in range(count):
        path = folder / f"{number:04d}{('.dcm', '.png', '')[number % 3]}"
        path.write_bytes(damage(whole, 1, number))
        yield str(path)


def oddly_named(folder):
    scan = np.add.outer(np.arange(40), np.arange(50)).astype(np.uint8) * 2
    for name in NAMES:
        path = os.fsencode(folder) + b"/" + name
        with open(path, "wb") as file:  # noqa: PTH123, as the names are bytes
            Image.fromarray(scan).save(file, "PNG")
        yield os.fsdecode(path)


def oddly_shaped(folder):
    for height, width in SHAPES:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
        for kind in ("png", "jpg", "tif"):
            path = folder / f"{height}x{width}.{kind}"
            Image.fromarray(pixels).save(path)
            yield str(path)


def png(side, *chunks):
    """An 8-bit gray PNG that says it has this side, with these chunks (kind, data) in it."""
    header = (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (header, *chunks, (b"IEND", b""))
    )


def bombs(folder):
    """Small files that claim to be, or become, very large ones."""
    zeros = (b"IDAT", zlib.compress(bytes(10**6)))
    text = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**8)))
    bitmap = struct.pack("<IHHIIiiHHIIIIII", 99, 0, 0, 54, 40, 60000, 60000, 1, 24, *[0] * 6)
    files = {
        "bomb.png": png(60000, zeros),
        "text.png": png(8, text, zeros),
        "bomb.ppm": b"P5 99999 99999 255\n" + bytes(100),
        "bomb.bmp": b"BM" + bitmap,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    write_dicom(folder / "bomb.dcm", np.zeros((4, 4), np.uint8), Rows=60000, Columns=60000)
    with (folder / "holes.png").open("wb") as file:
        file.truncate(10**12)
    yield from (str(path) for path in sorted(folder.iterdir()))


def no_images(folder):
    files = {
        "empty.png": b"",
        "empty.dcm": b"",
        "note.png": b"Dear colleague",
        "table.jpg": b"a,b\n1,2\n" * 1000,
        "page.dcm": b"<html>",
        "zip.png": b"PK\x03\x04" + bytes(100),
        "zeros.dcm": bytes(5000),
        "noise": np.random.default_rng(0).bytes(5000),
        "DICM": bytes(128) + b"DICM",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder.png").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "gone.png").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.png")
    yield from (str(path) for path in sorted(folder.iterdir()))
    yield from ("/dev/zero", "/dev/null", "/proc/self/mem", "", "nul\0.png", "nul\0/*.png")
    names = ("missing.png", "note.png/x.png", "y" * 5000, "*.tiff")
    yield from (str(folder / name) for name in names)


def make(folder, *makers):
    """The names of the files that each maker writes to a folder of its own."""
    found = []
    for maker in makers:
        (folder / maker.__name__).mkdir()
        found += maker(folder / maker.__name__)
    return found

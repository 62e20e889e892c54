"""What a file is, by its first bytes: names lie, and those of DICOM files are often bare UIDs."""

import struct
from pathlib import Path

from PIL import Image

from data.images.in_memory import InMemory

# What radiographs come as. Pillow reads more formats, some by starting another program.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "AVIF")
HEAD = 512  # bytes that tell
# The classes of DICOM files that never hold an image: the index of a disc, presentation states,
# structured reports and documents.
WITHOUT_IMAGE = (
    b"1.2.840.10008.1.3.10",
    *(b"1.2.840.10008.5.1.4.1.1.%d." % kind for kind in (11, 88, 104)),
)
TEXT = bytes([*b"\t\n\f\r", *range(32, 127), *range(128, 256)])
# Images that nothing here reads, by their first bytes, or by the brand of an ISO media file.
UNREAD = {b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL", b"8BPS": "Photoshop"}
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
OTHERS = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an office document",
    b"\xd0\xcf\x11\xe0": "an office document or thumbnails of Windows",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite format 3": "a database",
    b"%!PS": "a PostScript document",
}


def read_head(path: Path | InMemory) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


def is_dicom(head: bytes) -> bool:
    """With the preamble of part 10, or by a plausible first element where that was left out."""
    if head[128:132] == b"DICM":
        return True
    if len(head) < 8:
        return False
    group, element, kind, length = struct.unpack_from("<HH2sH", head)
    # Explicit: two letters for the type. Implicit: the four bytes are a length, a short one.
    return (
        group in {0x0002, 0x0008}
        and element < 0x100
        and ((kind.isalpha() and kind.isupper()) or (length == 0 and kind[1] == 0))
    )


def picture_format(head: bytes) -> str | None:
    """Which of FORMATS, by Pillow's own checks."""
    for kind in FORMATS:
        if kind not in Image.OPEN:
            Image.init()  # all formats, which takes a while
        if Image.OPEN[kind][1](head):
            return kind
    return None


def unread_format(head: bytes) -> str | None:
    """The format of an image that is none of FORMATS."""
    if head[4:8] == b"ftyp" and head[8:12] in HEIF:
        return "HEIF"
    return next((name for start, name in UNREAD.items() if head.startswith(start)), None)


def may_be_radiograph(head: bytes) -> bool:
    """Whether the file begins as an image or as a DICOM file that can hold one."""
    if is_dicom(head):
        return not any(kind in head for kind in WITHOUT_IMAGE)
    # Two letters make a BMP or a PPM, as far as Pillow looks.
    return not _is_text(head) and bool(picture_format(head) or unread_format(head))


def why_no_image(head: bytes) -> str | None:
    """What the file is in place of an image that can be read; None if that is not known."""
    if kind := unread_format(head):
        return f"an image in {kind} format, which is not read here; save it as PNG"
    what = next((words for start, words in OTHERS.items() if head.startswith(start)), None)
    if not head:
        what = "an empty file"
    elif head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        what = "a web page"
    elif head[4:8] == b"ftyp" and not picture_format(head):
        what = "a video"
    elif head[344:347] in {b"n+1", b"ni1"}:
        what = "a NIfTI volume"
    elif not what and _is_text(head):
        what = "a text file"
    return what and f"not an image: {what}"


def _is_text(head: bytes) -> bool:
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or not head.translate(None, TEXT)

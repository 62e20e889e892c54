import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame

from data.images.codestream import END, frame_header, repair
from tests.helpers.lossless_jpeg import jpeg_lossless

SCAN = np.zeros((48, 40), np.uint8)


def encoded(kind, **options):
    file = io.BytesIO()
    Image.fromarray(SCAN).save(file, kind, **options)
    return file.getvalue()


JPEG = encoded("JPEG")


@pytest.mark.parametrize(
    "data",
    [
        JPEG,
        encoded("JPEG", progressive=True),
        encoded("JPEG", comment=b"\xff\xc0\x00\x11\x08\x00\x01\x00\x01"),  # looks like a frame
        JPEG[:2] + b"\xff\xff" + JPEG[2:],  # fill bytes
        jpeg_lossless(SCAN, 8),
        encoded("JPEG2000", no_jp2=True),
        encoded("JPEG2000"),
    ],
    ids=["baseline", "progressive", "comment", "fill", "lossless", "JPEG 2000", "JP2"],
)
def test_size_bits_and_samples_are_found(data):
    assert frame_header(data) == (40, 48, 8, 1)


@pytest.mark.parametrize(
    ("name", "size"), [("MR_small_jpeg_ls_lossless", (64, 64)), ("JPEGLSNearLossless_08", (10, 45))]
)
def test_columns_and_rows_of_jpeg_ls_are_found(name, size):
    path = get_testdata_file(f"{name}.dcm", download=False)
    if path is None:
        pytest.skip(f"this pydicom comes without {name}.dcm")
    assert frame_header(get_frame(dcmread(path).PixelData, 0, number_of_frames=1))[:2] == size


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (JPEG[:50], "cut off"),
        (b"\xff\xd8\xff", "cut off"),
        (b"\xff\x4f\xff\x51", "cut off"),
        (b"<!DOCTYPE html>", "no start of frame; found 444F at byte 2"),
        (b"\xff\xd8\xff\xda\x00\x08", "no start of frame; found FFDA at byte 2"),
    ],
)
def test_what_says_no_size_is_an_error(data, reason):
    with pytest.raises(ValueError, match=reason):
        frame_header(data)


NOISE = np.random.default_rng(0).integers(0, 256, (40, 48), np.uint8)


def by_pillow(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str
)
def test_a_jpeg_gets_its_end_marker_back_unless_more_is_missing(options):
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", **options)
    whole = file.getvalue()
    assert repair(whole, by_pillow) == repair(whole + b"\0", by_pillow) == whole
    assert repair(whole.removesuffix(END), by_pillow) == whole
    for cut in (4, 5, 6, 50, 300):
        with pytest.raises(ValueError, match="the compressed image is cut off"):
            repair(whole[:-cut], by_pillow)


def test_a_jpeg_2000_gets_its_end_marker_back():
    whole = encoded("JPEG2000", no_jp2=True)
    assert repair(whole.removesuffix(END), by_pillow) == whole


def test_a_sequential_scan_has_all_coefficients_whatever_it_says():
    """As old computed-radiography systems wrote, and libjpeg refuses."""
    scan = JPEG.index(b"\xff\xda")
    place = scan + 2 + int.from_bytes(JPEG[scan + 2 : scan + 4], "big") - 3
    assert JPEG[place : place + 3] == bytes((0, 63, 0))
    odd = JPEG[:place] + bytes((0, 0, 0)) + JPEG[place + 3 :]
    assert repair(odd, by_pillow) == JPEG
    progressive = encoded("JPEG", progressive=True)
    assert repair(progressive, by_pillow) == progressive

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame

from data.images.frame_size import frame_size
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
def test_columns_and_rows_are_found(data):
    assert frame_size(data) == (40, 48)


@pytest.mark.parametrize(
    ("name", "size"), [("MR_small_jpeg_ls_lossless", (64, 64)), ("JPEGLSNearLossless_08", (10, 45))]
)
def test_columns_and_rows_of_jpeg_ls_are_found(name, size):
    path = get_testdata_file(f"{name}.dcm", download=False)
    if path is None:
        pytest.skip(f"this pydicom comes without {name}.dcm")
    assert frame_size(get_frame(dcmread(path).PixelData, 0, number_of_frames=1)) == size


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
        frame_size(data)

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from data.dicom import read_dicom, read_header
from data.radiograph import UnreadableImageError, read_radiograph
from data.sample.dicom import write_dicom


def lut(first, bits, values):
    """An item of a modality or VOI LUT sequence: `first` is the input of the first value."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", list(values))
    item.add_new("ModalityLUTType", "LO", "US")
    return item


U8, I8, U16, I16 = np.uint8, np.int8, np.uint16, np.int16
FULL = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}  # x -> 255 x / 4095
VOI = lut(10, 8, [0, 85, 170, 255])

TABLE = {
    # name: (type of the stored values, the values, header, expected)
    "8 bit": (U8, [0, 100, 255], {}, [0, 100, 255]),
    "8 bit in 16": (U16, [0, 100, 255], {"BitsStored": 8}, [0, 100, 255]),
    "8 bit that use half the range": (U8, [10, 60, 120], {}, [10, 60, 120]),
    "8 bit inverted": (
        U8, [0, 100, 255], {"PhotometricInterpretation": "MONOCHROME1"}, [255, 155, 0],
    ),
    "8 bit signed": (I8, [-128, 0, 127], {}, [0, 128, 255]),
    "12 in 16 bit, window": (U16, [0, 1365, 2730, 4095], FULL, [0, 85, 170, 255]),
    "12 in 16 bit, window, inverted": (
        U16, [0, 1365, 2730, 4095], FULL | {"PhotometricInterpretation": "MONOCHROME1"},
        [255, 170, 85, 0],
    ),
    # ((x - (c - 0.5)) / (w - 1) + 0.5) 255, PS3.3 C.11.2.1.2.1
    "narrow window": (
        U16, [0, 899, 1000, 1050, 1100, 4095],
        {"BitsStored": 12, "WindowCenter": 1000, "WindowWidth": 201}, [0, 0, 128, 192, 255, 255],
    ),
    "narrow window on 8 bit": (
        U8, [0, 99, 100, 150, 200, 255], {"WindowCenter": 150, "WindowWidth": 101},
        [0, 0, 1, 129, 255, 255],
    ),
    "the first of two windows": (
        U16, [0, 1365, 4095],
        {"BitsStored": 12, "WindowCenter": [2048, 40], "WindowWidth": [4096, 400]}, [0, 85, 255],
    ),
    # ((x - c) / w + 0.5) 255, PS3.3 C.11.2.1.3.2
    "window, exactly linear": (
        U16, [0, 1024, 2048, 4095], FULL | {"VOILUTFunction": "LINEAR_EXACT"}, [0, 64, 128, 255],
    ),
    # 255 / (1 + exp(-4 (x - c) / w)), PS3.3 C.11.2.1.3.1
    "window, sigmoid": (
        U16, [0, 1024, 2048, 4095], FULL | {"VOILUTFunction": "SIGMOID"}, [30, 69, 128, 225],
    ),
    "12 in 16 bit signed, window": (
        I16, [-2048, 0, 2047], {"BitsStored": 12, "WindowCenter": 0, "WindowWidth": 4096},
        [0, 128, 255],
    ),
    "rescale, 8 bit": (
        U8, [0, 100, 255], {"RescaleSlope": 2, "RescaleIntercept": -10}, [0, 100, 255],
    ),
    "rescale, window of the rescaled values": (
        U16, [0, 1365, 2730, 4095],
        {
            "BitsStored": 12, "RescaleSlope": 2, "RescaleIntercept": -1000,
            "WindowCenter": 3095.5, "WindowWidth": 8191,
        },
        [0, 85, 170, 255],
    ),
    "negative slope": (
        U8, [0, 100, 255], {"RescaleSlope": -1, "RescaleIntercept": 255}, [255, 155, 0],
    ),
    "negative slope, window": (
        U16, [0, 1365, 2730, 4095], FULL | {"RescaleSlope": -1, "RescaleIntercept": 4095},
        [255, 170, 85, 0],
    ),
    "negative slope, window, inverted": (
        U16, [0, 1365, 2730, 4095],
        FULL
        | {
            "RescaleSlope": -1, "RescaleIntercept": 4095,
            "PhotometricInterpretation": "MONOCHROME1",
        },
        [0, 85, 170, 255],
    ),
    "slope without intercept is no rescale": (
        U8, [0, 100, 255], {"RescaleSlope": 2}, [0, 100, 255],
    ),
    "VOI LUT": (
        U16, [0, 10, 11, 12, 13, 4095], {"BitsStored": 12, "VOILUTSequence": [VOI]},
        [0, 0, 85, 170, 255, 255],
    ),
    "VOI LUT of 12 bits": (
        U8, [0, 1, 2], {"VOILUTSequence": [lut(0, 12, [0, 1365, 4095])]}, [0, 85, 255],
    ),
    "VOI LUT, inverted": (
        U8, [10, 11, 13],
        {"VOILUTSequence": [VOI], "PhotometricInterpretation": "MONOCHROME1"}, [255, 170, 0],
    ),
    "VOI LUT before a window": (U16, [10, 11, 13], FULL | {"VOILUTSequence": [VOI]}, [0, 85, 255]),
    "modality LUT": (
        U8, [0, 1, 2, 9], {"ModalityLUTSequence": [lut(0, 16, [0, 30000, 65535])]},
        [0, 117, 255, 255],
    ),
    "modality LUT, window of its values": (
        U8, [0, 1, 2],
        {
            "ModalityLUTSequence": [lut(0, 16, [999, 2000, 3001])],
            "WindowCenter": 2000.5, "WindowWidth": 2001,
        },
        [0, 128, 255],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_gray_values_are_those_of_the_standard(tmp_path, name):
    dtype, stored, header, expected = TABLE[name]
    write_dicom(tmp_path / "a.dcm", np.array([stored, stored], dtype), **header)
    np.testing.assert_array_equal(read_dicom(tmp_path / "a.dcm"), [expected, expected])


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"WindowCenter": None, "WindowWidth": None},  # there, and empty
        {"WindowCenter": 2048},
        {"RescaleSlope": 3, "RescaleIntercept": -1024},
        {"RescaleSlope": -1, "RescaleIntercept": 0, "PhotometricInterpretation": "MONOCHROME1"},
    ],
)
@pytest.mark.parametrize("bits", [12, 16])
def test_without_a_window_percentiles_are_black_and_white(tmp_path, header, bits):
    scan = np.full((64, 64), 500, np.uint16)
    scan[:, 32:] = 1500
    scan[0, 0], scan[0, 1], scan[1, 0] = 4095, 0, 1000  # marker, dead pixel, the middle
    write_dicom(tmp_path / "a.dcm", scan, BitsStored=bits, **header)
    gray = read_dicom(tmp_path / "a.dcm")
    assert (gray[0, 0], gray[0, 1], gray[9, 9], gray[9, 60]) == (255, 0, 0, 255)
    assert gray[1, 0] in {127, 128}


SMOOTH = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)  # 0 ... 126


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_compression_gives_the_same_values(tmp_path, syntax, bits):
    values = SMOOTH.astype(np.uint16) << (bits - 8) if bits > 8 else SMOOTH
    write_dicom(tmp_path / "raw.dcm", values, BitsStored=bits)
    write_dicom(tmp_path / "small.dcm", values, syntax, BitsStored=bits)
    assert dcmread(tmp_path / "small.dcm").file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(
        read_dicom(tmp_path / "small.dcm"), read_dicom(tmp_path / "raw.dcm")
    )


def test_jpeg_baseline_gives_nearly_the_same_values(tmp_path):
    write_dicom(tmp_path / "a.dcm", SMOOTH, JPEGBaseline8Bit)
    np.testing.assert_allclose(read_dicom(tmp_path / "a.dcm"), SMOOTH, atol=4)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_lossless_gives_the_same_values(tmp_path, bits):
    dtype = np.uint16 if bits > 8 else np.uint8
    values = np.random.default_rng(0).integers(0, 2**bits, (16, 16)).astype(dtype)
    header = {"BitsStored": bits, "WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
    write_dicom(tmp_path / "raw.dcm", values, **header)
    small = dcmread(tmp_path / "raw.dcm")
    small.add_new("PixelData", "OB", encapsulate([jpeg_lossless(values, bits)]))
    small.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    small.save_as(tmp_path / "small.dcm")
    np.testing.assert_array_equal(
        read_dicom(tmp_path / "small.dcm"), read_dicom(tmp_path / "raw.dcm")
    )


def jpeg_lossless(values, bits):
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


@pytest.mark.parametrize(
    "name", ["bigendian", "implicit", "RLE", "jp2klossless", "jpeg_ls_lossless"]
)
def test_real_files_of_one_scan_in_several_syntaxes_give_the_same_image(name):
    files = [get_testdata_file(f"MR_small{s}.dcm", download=False) for s in ("", f"_{name}")]
    if None in files:
        pytest.skip(f"this pydicom comes without MR_small_{name}.dcm")
    plain, other = (read_dicom(Path(file)) for file in files)
    assert plain.std() > 20
    np.testing.assert_array_equal(other, plain)


def colour(path):
    write_dicom(path, np.zeros((4, 4, 3), np.uint8))


def indexed(path):
    write_dicom(path, SMOOTH, PhotometricInterpretation="PALETTE COLOR")


def multi_frame(path):
    write_dicom(path, np.zeros((3, 4, 4), np.uint8))


def without_pixels(path):
    write_dicom(path, SMOOTH)
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)


def unknown_syntax(path):
    write_dicom(path, SMOOTH, JPEGBaseline8Bit)
    other = path.read_bytes().replace(JPEGBaseline8Bit.encode(), b"1.2.840.10008.1.2.4.95")
    path.write_bytes(other)


def truncated(path):
    write_dicom(path, SMOOTH)
    path.write_bytes(path.read_bytes()[:-1000])


def truncated_jpeg(path):
    write_dicom(path, SMOOTH, JPEGBaseline8Bit)
    path.write_bytes(path.read_bytes()[:-300])


def broken_jpeg_2000(path):
    write_dicom(path, SMOOTH, JPEG2000Lossless)
    content = bytearray(path.read_bytes())
    start = content.index(b"\xff\x4f\xff\x51")
    content[start + 4 : start + 60] = bytes(56)
    path.write_bytes(content)


def oversized(path):
    write_dicom(path, SMOOTH, Rows=20000, Columns=20000)


def without_header(path):
    write_dicom(path, SMOOTH)
    content = path.read_bytes()
    path.write_bytes(content[144 + struct.unpack("<I", content[140:144])[0] :])


def test_a_file_without_its_header_gives_the_same_pixels(tmp_path):
    write_dicom(tmp_path / "whole.dcm", SMOOTH)
    without_header(tmp_path / "bare.dcm")
    whole, bare = (read_radiograph(tmp_path / name) for name in ("whole.dcm", "bare.dcm"))
    assert np.array_equal(whole, bare)


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (colour, "a colour DICOM (RGB); expected grayscale"),
        (indexed, "a colour DICOM (PALETTE COLOR); expected grayscale"),
        (multi_frame, "3 frames; expected one radiograph"),
        (without_pixels, "DICOM without pixel data, or cut off; expected a radiograph"),
        (
            unknown_syntax,
            "no decoder for transfer syntax JPIP Referenced Deflate;"
            " pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg",
        ),
        (truncated, "less than expected"),
        (truncated_jpeg, "cut off"),
        (broken_jpeg_2000, "broken image"),
        (oversized, "20000 x 20000 pixels; expected at most 100,000,000"),
    ],
)
def test_what_is_no_radiograph_is_named_in_one_line(tmp_path, write, reason):
    path = tmp_path / "a.dcm"
    write(path)
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert reason in line


def test_a_missing_codec_is_named_with_the_packages_that_bring_it(tmp_path, monkeypatch):
    write_dicom(tmp_path / "a.dcm", SMOOTH, JPEGBaseline8Bit)
    without = SimpleNamespace(is_available=False)
    monkeypatch.setattr("data.dicom.get_decoder", lambda syntax: without)
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(tmp_path / "a.dcm")
    assert str(caught.value) == (
        f"{tmp_path / 'a.dcm'}: no decoder for transfer syntax JPEG Baseline (Process 1);"
        " pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
    )


@pytest.mark.parametrize(
    ("header", "facts"),
    [
        (("PA", "M", "051Y"), ("PA", "M", "51")),
        (("AP", "F", "51"), ("AP", "F", "51")),  # RSNA: without its unit
        (("ap", "f", "018M"), ("AP", "F", "1")),
        (("LL", "O", "148"), ("LL", "", "")),
        (("", "", ""), ("", "", "")),
        ((None, None, None), ("", "", "")),
        (("AP", "M", "old"), ("AP", "M", "")),
    ],
)
@pytest.mark.filterwarnings("error")
def test_header_facts_are_clean(tmp_path, header, facts):
    names = ("ViewPosition", "PatientSex", "PatientAge")
    write_dicom(tmp_path / "a.dcm", SMOOTH, **dict(zip(names, header, strict=True)))
    assert read_header(tmp_path / "a.dcm") == dict(zip(("view", "sex", "age"), facts, strict=True))


def test_a_header_without_the_facts_gives_none(tmp_path):
    write_dicom(tmp_path / "a.dcm", SMOOTH)
    assert read_header(tmp_path / "a.dcm") == {"view": "", "sex": "", "age": ""}

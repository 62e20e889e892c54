import contextlib
import io
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from data.images import dicom
from data.images.radiograph import UnreadableImageError, read_radiograph
from data.sample.dicom import write_dicom
from tests.helpers.lossless_jpeg import jpeg_lossless


def read_gray(path):
    return np.asarray(dicom.read_dicom(path))


def lut(first, bits, values, vr="US"):
    """An item of a modality or VOI LUT sequence: `first` is the input of the first value."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(values), first, bits])
    item.add_new("LUTData", "US", list(values))
    item.add_new("ModalityLUTType", "LO", "US")
    return item


def voi(*words):
    return {"VOILUTSequence": [lut(*words)]}


def voi_bytes(first, bits, data):
    item = lut(first, bits, [0] * 4)
    del item.LUTData
    item.add_new("LUTData", "OW", data)
    return {"VOILUTSequence": [item]}


def presentation(*words):
    return {"PresentationLUTSequence": [lut(*words)]}


def modality(*words):
    return {"ModalityLUTSequence": [lut(*words)]}


def window(centre, width):
    return {"WindowCenter": centre, "WindowWidth": width}


def rescale(slope, intercept):
    return {"RescaleSlope": slope, "RescaleIntercept": intercept}


U8, I8, U16, I16 = np.uint8, np.int8, np.uint16, np.int16
BITS, THIRDS = {"BitsStored": 12}, [0, 1365, 2730, 4095]
FULL = BITS | window(2048, 4096)  # x -> 255 x / 4095
VOI = voi(10, 8, [0, 85, 170, 255])
INVERTED = {"PhotometricInterpretation": "MONOCHROME1"}

TABLE = {
    # name: (type of the stored values, the values, header, expected)
    "8 bit": (U8, [0, 100, 255], {}, [0, 100, 255]),
    "8 bit in 16": (U16, [0, 100, 255], {"BitsStored": 8}, [0, 100, 255]),
    "8 bit that use half the range": (U8, [10, 60, 120], {}, [10, 60, 120]),
    "8 bit inverted": (U8, [0, 100, 255], INVERTED, [255, 155, 0]),
    "8 bit signed": (I8, [-128, 0, 127], {}, [0, 128, 255]),
    "12 in 16 bit, window": (U16, THIRDS, FULL, [0, 85, 170, 255]),
    "12 in 16 bit, window, inverted": (U16, THIRDS, FULL | INVERTED, [255, 170, 85, 0]),
    # ((x - (c - 0.5)) / (w - 1) + 0.5) 255, PS3.3 C.11.2.1.2.1
    "narrow window": (
        U16, [0, 899, 1000, 1050, 1100, 4095], BITS | window(1000, 201), [0, 0, 128, 192, 255, 255],
    ),
    "narrow window on 8 bit": (
        U8, [0, 99, 100, 150, 200, 255], window(150, 101), [0, 0, 1, 129, 255, 255],
    ),
    "the first of two windows": (
        U16, [0, 1365, 4095], BITS | window([2048, 40], [4096, 400]), [0, 85, 255],
    ),
    # ((x - c) / w + 0.5) 255, PS3.3 C.11.2.1.3.2
    "window, exactly linear": (
        U16, [0, 1024, 2048, 4095], FULL | {"VOILUTFunction": "LINEAR_EXACT"}, [0, 64, 128, 255],
    ),
    # 255 / (1 + exp(-4 (x - c) / w)), PS3.3 C.11.2.1.3.1
    "window, sigmoid": (
        U16, [0, 1024, 2048, 4095], FULL | {"VOILUTFunction": "SIGMOID"}, [30, 69, 128, 225],
    ),
    "12 in 16 bit signed, window": (I16, [-2048, 0, 2047], BITS | window(0, 4096), [0, 128, 255]),
    "rescale, 8 bit": (U8, [0, 100, 255], rescale(2, -10), [0, 100, 255]),
    "rescale, window of the rescaled values": (
        U16, THIRDS, BITS | rescale(2, -1000) | window(3095.5, 8191), [0, 85, 170, 255],
    ),
    "negative slope": (U8, [0, 100, 255], rescale(-1, 255), [255, 155, 0]),
    "negative slope, window": (U16, THIRDS, FULL | rescale(-1, 4095), [255, 170, 85, 0]),
    "negative slope, window, inverted": (
        U16, THIRDS, FULL | INVERTED | rescale(-1, 4095), [0, 85, 170, 255],
    ),
    "slope without intercept is no rescale": (
        U8, [0, 100, 255], {"RescaleSlope": 2}, [0, 100, 255],
    ),
    "VOI LUT": (U16, [0, 10, 11, 12, 13, 4095], BITS | VOI, [0, 0, 85, 170, 255, 255]),
    "VOI LUT of 12 bits": (U8, [0, 1, 2], voi(0, 12, [0, 1365, 4095]), [0, 85, 255]),
    # As many values as 12 bits have, each of 8 bits.
    "VOI LUT of more values than 8 bits have": (
        U16, [0, 255, 256, 2048, 4095], BITS | voi(0, 8, [k // 16 for k in range(4096)]),
        [0, 15, 16, 128, 255],
    ),
    "VOI LUT of signed values": (
        I16, [-5, -2, -1, 0, 1, 9], BITS | voi(-2, 8, [0, 85, 170, 255], "SS"),
        [0, 0, 85, 170, 255, 255],
    ),
    "VOI LUT of rescaled values": (U8, [0, 5, 6, 7, 9], VOI | rescale(2, 0), [0, 0, 170, 255, 255]),
    "VOI LUT, inverted": (U8, [10, 11, 13], VOI | INVERTED, [255, 170, 0]),
    "VOI LUT before a window": (U16, [10, 11, 13], FULL | VOI, [0, 85, 255]),
    "modality LUT": (U8, [0, 1, 2, 9], modality(0, 16, [0, 30000, 65535]), [0, 117, 255, 255]),
    "modality LUT, window of its values": (
        U8, [0, 1, 2], modality(0, 16, [999, 2000, 3001]) | window(2000.5, 2001), [0, 128, 255],
    ),
    "VOI LUT that claims 16 bits and holds 12": (
        U16, [0, 1, 2], BITS | voi(0, 16, [0, 1365, 4095]), [0, 85, 255],
    ),
    "VOI LUT, its bytes": (
        U16, [9, 10, 11, 13], BITS | voi_bytes(10, 8, bytes([0, 85, 170, 255])), [0, 0, 85, 255],
    ),
    "VOI LUT, its words": (
        U16, [9, 10, 11, 13], BITS | voi_bytes(10, 12, np.array(THIRDS, "<u2").tobytes()),
        [0, 0, 85, 255],
    ),
    "VOI LUT of values far above": (
        U16, [0, 1365, 4095], voi(60000, 8, [0, 85, 255]) | FULL, [0, 85, 255],
    ),
    "VOI LUT without data, a window": (
        U16, [0, 1365, 4095], {"VOILUTSequence": [Dataset()]} | FULL, [0, 85, 255],
    ),
    "modality LUT of 12 bits": (U8, [0, 1, 2], modality(0, 12, [0, 1365, 4095]), [0, 85, 255]),
    "Presentation LUT": (
        U8, [0, 100, 255], presentation(0, 8, [255 - k for k in range(256)]), [255, 155, 0],
    ),
    "Presentation LUT of 12 bits, window, inverted": (
        U16, THIRDS, FULL | INVERTED | presentation(0, 12, THIRDS[::-1]), [0, 85, 170, 255],
    ),
    # What is empty or impossible counts as absent.
    "empty rescale": (U8, [0, 100, 255], rescale("", ""), [0, 100, 255]),
    "slope 0": (U8, [0, 100, 255], rescale(0, 7), [0, 100, 255]),
    "two slopes": (U8, [0, 100, 255], rescale([1, 2], [0, 1]), [0, 100, 255]),
    "empty VOI LUT Function": (U16, THIRDS, FULL | {"VOILUTFunction": ""}, [0, 85, 170, 255]),
    "unknown VOI LUT Function": (U16, THIRDS, FULL | {"VOILUTFunction": "X"}, [0, 85, 170, 255]),
    **{
        f"window of width {width!r}": (U8, [0, 100, 255], window(9, width), [0, 100, 255])
        for width in ("", 0, -5, "NaN")
    },
    "the second window, as the first has no width": (
        U16, THIRDS, BITS | window([40, 2048], [0, 4096]), [0, 85, 170, 255],
    ),
    "the second window, as the first is not a number": (
        U16, THIRDS, BITS | window(["", 2048], [400, 4096]), [0, 85, 170, 255],
    ),
    "no bit stored": (U8, [0, 100, 255], {"BitsStored": 0, "HighBit": 7}, [0, 100, 255]),
    "empty SamplesPerPixel": (U8, [0, 100, 255], {"SamplesPerPixel": None}, [0, 100, 255]),
    # A window that does not show the values counts as absent, too.
    "window below all values": (
        U8, [100, 150, 200], window(20, 40), [100, 150, 200],
    ),
    "window above all values": (U8, [0, 100, 255], window(2048, 400), [0, 100, 255]),
    "window so wide that all is dark": (U8, [0, 100, 255], window(32768, 65536), [0, 100, 255]),
    "the second window, as the first lies outside": (
        U16, [0, 1365, 4095], BITS | window([40000, 2048], [400, 4096]), [0, 85, 255],
    ),
    "window outside before the rescale, inside after it": (
        U16, THIRDS, BITS | rescale(1, 30000) | window(32048, 4096), [0, 85, 170, 255],
    ),
    # Values that end above the lowest bit.
    "12 bits in the upper part of 16": (
        U16, [v << 4 for v in THIRDS], FULL | {"HighBit": 15}, [0, 85, 170, 255],
    ),
    "12 signed bits in the upper part of 16": (
        I16, [-32768, 0, 32752], BITS | window(0, 4096) | {"HighBit": 15}, [0, 128, 255],
    ),
    "12 bits in the lower part, whatever HighBit says": (
        U16, THIRDS, FULL | {"HighBit": 15}, [0, 85, 170, 255],
    ),
    "lower case": (
        U8, [0, 100, 255], {"PhotometricInterpretation": "monochrome1 "}, [255, 155, 0],
    ),
    "a space in it": (
        U8, [0, 100, 255], {"PhotometricInterpretation": "MONOCHROME 1"}, [255, 155, 0],
    ),
    "lower case, gray in colour": (
        U8, [[0] * 3, [100] * 3, [255] * 3], {"PhotometricInterpretation": "rgb"}, [0, 100, 255],
    ),
    "12 in 16 bit, gray in colour": (
        U16, [[0] * 3, [1600] * 3, [4080] * 3], BITS | {"PhotometricInterpretation": "RGB"},
        [0, 100, 255],
    ),
}  # fmt: skip


def ramp(low, high):
    return np.linspace(low, high, 4096).reshape(64, 64).astype(np.uint16)


@pytest.mark.parametrize(
    ("values", "span"),  # of the gray levels in a window from 0 to 4095
    [(ramp(0, 4095), 255), (ramp(1000, 1400), 25), (ramp(100, 103), 0), (ramp(0, 3), 0)],
)
def test_a_film_of_little_contrast_keeps_its_window(tmp_path, values, span):
    write_dicom(tmp_path / "a.dcm", values, **FULL)
    assert np.ptp(read_gray(tmp_path / "a.dcm")) == pytest.approx(span, abs=1)


@pytest.mark.parametrize("header", [
    window(20000, 100), window(2725, 5310), window([0, 99999], [10, 10]), voi(0, 12, range(4096)),
    window(50000, 0), {"VOILUTFunction": "SIGMOID"} | window(50000, 0),
    {"VOILUTFunction": "LINEAR_EXACT"} | window(50000, -1),
])  # fmt: skip
def test_a_film_outside_of_the_window_is_scaled_by_percentiles(tmp_path, header):
    write_dicom(tmp_path / "a.dcm", ramp(32744, 65535), **header)
    write_dicom(tmp_path / "b.dcm", ramp(32744, 65535))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.dcm"), read_gray(tmp_path / "b.dcm"))


def test_colour_without_colours_has_no_window_and_the_bits_that_are_stored(tmp_path):
    colour = np.repeat(ramp(0, 4095)[:, :, None], 3, axis=2)
    write_dicom(tmp_path / "a.dcm", colour, **FULL)
    np.testing.assert_allclose(read_gray(tmp_path / "a.dcm"), ramp(0, 4095) >> 4, atol=1)
    write_dicom(tmp_path / "a.dcm", (colour >> 4).astype(np.uint8), **window(2048, 4096))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.dcm"), ramp(0, 4095) >> 4)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.filterwarnings("ignore:Applying a VOI LUT on a float")
def test_gray_values_are_those_of_the_standard(tmp_path, name):
    dtype, stored, header, expected = TABLE[name]
    write_dicom(tmp_path / "a.dcm", np.array([stored, stored], dtype), **header)
    np.testing.assert_array_equal(read_gray(tmp_path / "a.dcm"), [expected, expected])


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
    gray = read_gray(tmp_path / "a.dcm")
    assert (gray[0, 0], gray[0, 1], gray[9, 9], gray[9, 60]) == (255, 0, 0, 255)
    assert gray[1, 0] in {127, 128}


COLOURS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
SMOOTH = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)  # 0 ... 126


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_compression_gives_the_same_values(tmp_path, syntax, bits):
    values = SMOOTH.astype(np.uint16) << (bits - 8) if bits > 8 else SMOOTH
    write_dicom(tmp_path / "raw.dcm", values, BitsStored=bits)
    write_dicom(tmp_path / "small.dcm", values, syntax, BitsStored=bits)
    assert dcmread(tmp_path / "small.dcm").file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(
        read_gray(tmp_path / "small.dcm"), read_gray(tmp_path / "raw.dcm")
    )


def test_jpeg_baseline_is_within_one_gray_level_of_the_reference_decoder(tmp_path):
    scan = np.random.default_rng(0).normal(128, 40, (12, 12)).clip(0, 255).astype(np.uint8)
    scan = np.asarray(Image.fromarray(scan).resize((96, 80), Image.Resampling.BICUBIC))
    write_dicom(tmp_path / "a.dcm", scan, JPEGBaseline8Bit)
    reference = dcmread(tmp_path / "a.dcm")
    reference.pixel_array_options(decoding_plugin="pylibjpeg")
    np.testing.assert_allclose(
        read_gray(tmp_path / "a.dcm"), reference.pixel_array.astype(int), atol=1
    )


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_signed_values_survive_lossless_compression(tmp_path, syntax, bits):
    dtype = np.int16 if bits > 8 else np.int8
    values = np.linspace(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 4096).reshape(64, 64)
    values = values.astype(dtype)
    header = {"BitsStored": bits, "WindowCenter": 0, "WindowWidth": 2**bits}
    write_dicom(tmp_path / "a.dcm", values, syntax, **header)
    expected = np.linspace(0, 255, 4096).reshape(64, 64)
    np.testing.assert_allclose(read_gray(tmp_path / "a.dcm"), expected, atol=1)


def test_jpeg_2000_with_loss_gives_nearly_the_same_values(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(SMOOTH).save(stream, "JPEG2000", irreversible=True, no_jp2=True)
    write_dicom(tmp_path / "a.dcm", SMOOTH)
    small = dcmread(tmp_path / "a.dcm")
    small.add_new("PixelData", "OB", encapsulate([stream.getvalue()]))
    small.file_meta.TransferSyntaxUID = JPEG2000
    small.save_as(tmp_path / "a.dcm")
    np.testing.assert_allclose(read_gray(tmp_path / "a.dcm"), SMOOTH, atol=2)


def test_a_frame_in_several_fragments_is_one_image(tmp_path):
    write_dicom(tmp_path / "a.dcm", SMOOTH, JPEGBaseline8Bit)
    split = dcmread(tmp_path / "a.dcm")
    frame = next(generate_frames(split.PixelData, number_of_frames=1))
    split.PixelData = encapsulate([frame], fragments_per_frame=3)
    split.save_as(tmp_path / "split.dcm")
    np.testing.assert_array_equal(read_gray(tmp_path / "split.dcm"), read_gray(tmp_path / "a.dcm"))


@pytest.mark.filterwarnings("ignore:The number of bytes of pixel data")
def test_of_more_frames_than_the_header_says_the_first_is_read(tmp_path):
    write_dicom(tmp_path / "raw.dcm", SMOOTH)
    more = dcmread(tmp_path / "raw.dcm")
    more.PixelData += bytes(len(more.PixelData))
    more.save_as(tmp_path / "raw.dcm")
    write_dicom(tmp_path / "rle.dcm", SMOOTH, RLELossless)
    more = dcmread(tmp_path / "rle.dcm")
    frame = next(generate_frames(more.PixelData, number_of_frames=1))
    more.PixelData = encapsulate([frame, frame])
    more.save_as(tmp_path / "rle.dcm")
    for name in ("raw.dcm", "rle.dcm"):
        np.testing.assert_array_equal(read_gray(tmp_path / name), SMOOTH, err_msg=name)


def test_a_deflated_file_gives_its_values_but_is_not_inflated_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("data.images.dicom.MAX_BYTES", 10_000)
    np.testing.assert_array_equal(read_gray(deflated(tmp_path / "a.dcm", SMOOTH)), SMOOTH)
    path = deflated(tmp_path / "b.dcm", np.zeros((128, 128), np.uint8))
    assert path.stat().st_size < 1000
    with pytest.raises(UnreadableImageError, match="more than 10,000 bytes once inflated"):
        read_radiograph(path)


def deflated(path, values):
    write_dicom(path, values)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    return path


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
        read_gray(tmp_path / "small.dcm"), read_gray(tmp_path / "raw.dcm")
    )


def test_a_header_of_8_bits_does_not_cut_a_frame_of_12(tmp_path):
    values = np.linspace(0, 4095, 256).reshape(16, 16).astype(np.uint16)
    write_dicom(tmp_path / "raw.dcm", values, BitsStored=12)
    write_dicom(tmp_path / "small.dcm", np.zeros((16, 16), np.uint8))
    small = dcmread(tmp_path / "small.dcm")
    small.add_new("PixelData", "OB", encapsulate([jpeg_lossless(values, 12)]))
    small.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    small.save_as(tmp_path / "small.dcm")
    np.testing.assert_array_equal(
        read_gray(tmp_path / "small.dcm"), read_gray(tmp_path / "raw.dcm")
    )


@pytest.mark.parametrize(
    "name", ["bigendian", "implicit", "RLE", "jp2klossless", "jpeg_ls_lossless"]
)
def test_real_files_of_one_scan_in_several_syntaxes_give_the_same_image(name):
    files = [get_testdata_file(f"MR_small{s}.dcm", download=False) for s in ("", f"_{name}")]
    if None in files:
        pytest.skip(f"this pydicom comes without MR_small_{name}.dcm")
    plain, other = (read_gray(Path(file)) for file in files)
    assert plain.std() > 20
    np.testing.assert_array_equal(other, plain)


def with_header(values=SMOOTH, **header):
    return lambda path: write_dicom(path, values, **header)


def without(keyword):
    def write(path):
        write_dicom(path, SMOOTH)
        dataset = dcmread(path)
        del dataset[keyword]
        dataset.save_as(path)

    return write


def unknown_syntax(path):
    write_dicom(path, SMOOTH, JPEGBaseline8Bit)
    other = path.read_bytes().replace(JPEGBaseline8Bit.encode(), b"1.2.840.10008.1.2.4.95")
    path.write_bytes(other)


def private_syntax(path):
    write_dicom(path, SMOOTH, JPEGBaseline8Bit)
    other = path.read_bytes().replace(JPEGBaseline8Bit.encode(), b"1.2.840.113619.5.2.1\0\0")
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


def more_inside_the_frame_than_the_header_says(path):
    write_dicom(path, SMOOTH, JPEG2000Lossless)
    content = bytearray(path.read_bytes())
    place = content.index(b"\xff\x4f\xff\x51")
    struct.pack_into(">II", content, place + 8, 60000, 60000)
    path.write_bytes(content)


def no_frame(path):
    write_dicom(path, SMOOTH, JPEGBaseline8Bit)
    dataset = dcmread(path)
    dataset.PixelData = encapsulate([b"<!DOCTYPE html><title>404</title>"])
    dataset.save_as(path)


def nested(path):
    """A thousand sequences, each in the one before."""
    write_dicom(path, SMOOTH)
    start = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = path.read_bytes()
    meta = 144 + struct.unpack("<I", content[140:144])[0]
    path.write_bytes(content[:meta] + start * 1000 + content[meta:])


def without_header(path):
    write_dicom(path, SMOOTH)
    content = path.read_bytes()
    path.write_bytes(content[144 + struct.unpack("<I", content[140:144])[0] :])


def test_a_file_without_its_header_gives_the_same_pixels(tmp_path):
    write_dicom(tmp_path / "whole.dcm", SMOOTH)
    without_header(tmp_path / "bare.dcm")
    whole, bare = (read_radiograph(tmp_path / name) for name in ("whole.dcm", "bare.dcm"))
    assert np.array_equal(whole, bare)


@pytest.mark.parametrize("read", [read_radiograph, dicom.read_patient_id])
@pytest.mark.parametrize("write", [truncated_jpeg, nested, with_header(BitsStored=77)])
def test_of_a_broken_file_pydicom_logs_nothing(tmp_path, caplog, write, read):
    write(tmp_path / "a.dcm")
    caplog.set_level("DEBUG", "pydicom")  # as its import, or anyone, may do after the set-up
    with contextlib.suppress(UnreadableImageError):
        read(tmp_path / "a.dcm")
    assert not caplog.records


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (with_header(COLOURS), "a colour DICOM (RGB); expected grayscale"),
        (
            with_header(COLOURS, PhotometricInterpretation="YBR_FULL"),
            "a colour DICOM (YBR_FULL); expected grayscale",
        ),
        (with_header(PhotometricInterpretation="PALETTE COLOR"), "a palette of colours that"),
        (with_header(PhotometricInterpretation="RGB"), "1 samples a pixel, but RGB; expected gray"),
        (
            without("PhotometricInterpretation"),
            "no PhotometricInterpretation; expected MONOCHROME1 or MONOCHROME2",
        ),
        (
            with_header(PhotometricInterpretation="GRAYSCALE"),
            "PhotometricInterpretation GRAYSCALE; expected MONOCHROME1 or MONOCHROME2, which",
        ),
        (with_header(np.zeros((4, 4), np.uint16), HighBit=16), "HighBit 16 in values of 16 bits"),
        (private_syntax, "pixels in the private transfer syntax 1.2.840.113619.5.2.1, which"),
        (with_header(np.zeros((3, 4, 4), np.uint8)), "3 frames; expected one radiograph"),
        (without("PixelData"), "DICOM without pixel data, or cut off; expected a radiograph"),
        (
            unknown_syntax,
            "pixels in the transfer syntax JPIP Referenced Deflate, which nothing here decodes;"
            " export the image uncompressed",
        ),
        (truncated, "less than expected"),
        (truncated_jpeg, "cut off"),
        (broken_jpeg_2000, "the compressed image has 0 x 0 pixels"),
        (
            with_header(Rows=20000, Columns=20000),
            "20000 x 20000 pixels; expected at most 100,000,000",
        ),
        (
            more_inside_the_frame_than_the_header_says,
            "60000 x 60000 pixels; expected at most 100,000,000",
        ),
        (no_frame, "no start of frame"),
        (nested, "a.dcm: broken image"),
        (with_header(Rows=0), "'Rows' value of '0'"),
        (with_header(Rows=None), "no Rows in the DICOM header"),
        (with_header(Rows=65), "less than expected"),
        (with_header(BitsStored=77), "'Bits Stored' value of '77'"),
        (with_header(BitsAllocated=7), "'Bits Allocated' value of '7'"),
        (with_header(PixelRepresentation=9), "'Pixel Representation' value of '9'"),
        (without("Rows"), "no Rows in the DICOM header"),
        (without("BitsAllocated"), "no BitsAllocated in the DICOM header"),
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


GRAY_RGB = np.repeat(SMOOTH[..., None], 3, axis=2)
GRAY_YBR = np.dstack([SMOOTH, np.full((64, 64, 2), 128, np.uint8)])
MARKED = GRAY_RGB.copy()
MARKED[:8, :8] = 255, 0, 0  # an arrow


@pytest.mark.parametrize(
    ("pixels", "header"),
    [
        (GRAY_RGB, {}),
        (GRAY_RGB, {"PhotometricInterpretation": "YBR_FULL"}),  # some converters write this
        (GRAY_RGB.astype(np.uint16) * 257, {}),
        (GRAY_YBR, {"PhotometricInterpretation": "YBR_FULL"}),
        (GRAY_YBR, {}),
        (MARKED, {}),
    ],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_of_a_gray_image_in_colour_the_gray_is_read(tmp_path, pixels, header, syntax):
    write_dicom(tmp_path / "a.dcm", pixels, syntax, **header)
    np.testing.assert_allclose(read_gray(tmp_path / "a.dcm")[8:], SMOOTH[8:], atol=1)


def test_of_a_palette_of_grays_the_gray_is_read(tmp_path):
    words = np.arange(255, -1, -1).astype("<u2") * 257
    header = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        header[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        header[f"{colour}PaletteColorLookupTableData"] = words.tobytes()
    write_dicom(tmp_path / "a.dcm", SMOOTH, **header)
    np.testing.assert_array_equal(read_gray(tmp_path / "a.dcm"), 255 - SMOOTH)


def test_what_a_header_lacks_is_what_it_usually_is(tmp_path):
    without("BitsStored")(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_gray(tmp_path / "a.dcm"), SMOOTH)
    without("PixelRepresentation")(tmp_path / "b.dcm")
    np.testing.assert_array_equal(read_gray(tmp_path / "b.dcm"), SMOOTH)
    without("SamplesPerPixel")(tmp_path / "c.dcm")
    np.testing.assert_array_equal(read_gray(tmp_path / "c.dcm"), SMOOTH)


@pytest.mark.parametrize("header", [{}, {"PixelPaddingRangeLimit": 5}])
def test_padding_does_not_set_the_gray_scale(tmp_path, header):
    scan = np.full((64, 64), 1000, np.uint16)
    scan[:, 32:] = 2000
    write_dicom(tmp_path / "film.dcm", scan, BitsStored=12)
    scan[:20], scan[0] = 0, 5 if header else 0
    write_dicom(tmp_path / "a.dcm", scan, BitsStored=12, PixelPaddingValue=0, **header)
    film, padded = (read_gray(tmp_path / name) for name in ("film.dcm", "a.dcm"))
    np.testing.assert_array_equal(padded[20:], film[20:])
    assert set(film.ravel()) == {0, 255}


@pytest.mark.parametrize(("dtype", "vr", "padding"), [(I16, "US", 63536), (U16, "SS", -2000)])
def test_padding_of_the_other_sign_does_not_set_the_gray_scale(tmp_path, dtype, vr, padding):
    scan = np.full((64, 64), 1000, dtype)
    scan[:, 32:] = 2000
    write_dicom(tmp_path / "film.dcm", scan)
    scan[:20] = np.array(padding).astype(dtype)
    write_dicom(tmp_path / "a.dcm", scan)
    dataset = dcmread(tmp_path / "a.dcm")
    dataset.add_new("PixelPaddingValue", vr, padding)
    dataset.save_as(tmp_path / "a.dcm")
    film, padded = (read_gray(tmp_path / name) for name in ("film.dcm", "a.dcm"))
    np.testing.assert_array_equal(padded[20:], film[20:])


def test_one_bad_number_does_not_hide_the_next(tmp_path):
    path = tmp_path / "a.dcm"
    write_dicom(path, np.array([THIRDS], np.uint16), **BITS, **window([2048, 2048], [1111, 4096]))
    path.write_bytes(path.read_bytes().replace(b"1111", b"wide"))
    np.testing.assert_array_equal(read_gray(path), [[0, 85, 170, 255]])


def compressed(path, values, change, **header):
    """A file whose frame in JPEG 2000 was changed, or whose header says something else."""
    write_dicom(path, values, JPEG2000Lossless, BitsStored=8 * values.itemsize)
    dataset = dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([change(frame)])
    for name, value in header.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


@pytest.mark.parametrize(
    ("values", "header"),
    [
        (SMOOTH, {"Rows": 63}),
        (SMOOTH, {"Rows": 80, "Columns": 60}),
        (SMOOTH, {"BitsAllocated": 16}),
        (SMOOTH, {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}),
        (SMOOTH, {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}),
        (SMOOTH.astype(np.uint16) * 257, {"BitsAllocated": 8, "HighBit": 7}),
    ],
)
def test_of_a_jpeg_2000_the_stream_counts_not_the_header(tmp_path, values, header):
    compressed(tmp_path / "a.dcm", values, lambda frame: frame, **header)
    gray = read_gray(tmp_path / "a.dcm")
    assert gray.shape == (64, 64)
    assert np.corrcoef(gray.ravel(), SMOOTH.ravel())[0, 1] > 0.999
    assert gray.max() == (126 if values is SMOOTH else 255)  # 16 bits by percentiles


def test_a_missing_end_of_the_frame_is_no_loss_and_a_missing_part_is_refused(tmp_path):
    compressed(tmp_path / "a.dcm", SMOOTH, lambda frame: frame.removesuffix(b"\xff\xd9"))
    np.testing.assert_array_equal(read_gray(tmp_path / "a.dcm"), SMOOTH)
    compressed(tmp_path / "b.dcm", SMOOTH, lambda frame: frame[:-50])
    with pytest.raises(UnreadableImageError, match="no decoder here reads its compressed pixels"):
        read_radiograph(tmp_path / "b.dcm")
    write_dicom(tmp_path / "c.dcm", SMOOTH, JPEGBaseline8Bit)
    whole = dcmread(tmp_path / "c.dcm")
    frame = next(generate_frames(whole.PixelData, number_of_frames=1)).rstrip(b"\0")
    assert frame.endswith(b"\xff\xd9")
    whole.PixelData = encapsulate([frame[:-2]])
    whole.save_as(tmp_path / "d.dcm")
    np.testing.assert_array_equal(read_gray(tmp_path / "d.dcm"), read_gray(tmp_path / "c.dcm"))


@pytest.mark.parametrize("name", ["JPEG-lossy", "JPGExtended"])
def test_jpeg_extended_of_12_bits_is_read_also_with_wrong_parameters_of_the_scan(name):
    """The same scan twice; the first says that it has no coefficients but the first."""
    file = get_testdata_file(f"{name}.dcm", download=False)
    if file is None:
        pytest.skip(f"this pydicom comes without {name}.dcm")
    image = read_radiograph(file)
    assert image.size == (256, 1024)
    assert np.asarray(image).mean() == pytest.approx(21.9, abs=0.1)


def test_a_missing_codec_is_named_with_the_packages_that_bring_it(tmp_path, monkeypatch):
    write_dicom(tmp_path / "a.dcm", SMOOTH, JPEGBaseline8Bit)
    without = SimpleNamespace(is_available=False)
    monkeypatch.setattr("data.images.dicom_frame.get_decoder", lambda syntax: without)
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
        ((), ("", "", "")),
        (("AP", "M", "old"), ("AP", "M", "")),
    ],
)
@pytest.mark.filterwarnings("error")
def test_header_facts_are_clean(tmp_path, header, facts):
    names = ("ViewPosition", "PatientSex", "PatientAge")
    write_dicom(tmp_path / "a.dcm", SMOOTH, **dict(zip(names, header, strict=False)))
    told = read_radiograph(tmp_path / "a.dcm").info["dicom"]
    assert told == dict(zip(("view", "sex", "age"), facts, strict=True))

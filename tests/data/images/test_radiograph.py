import os
import struct
from zlib import compress, crc32

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.uid import JPEGBaseline8Bit

from data.images.gray import UnreadableImageError, by_table, to_8bit, usual_range
from data.images.radiograph import image_size, read_radiograph, resize
from data.sample.dicom import write_dicom

GRAY = np.arange(0, 252, 21, dtype=np.uint8).reshape(3, 4)  # 0, 21 ... 231
CLEAR = np.array([[0, 255, 0, 255]] * 3, dtype=np.uint8)  # of alpha: every other column shows
SEEN = np.where(CLEAR, GRAY, 0)  # on black
COARSE = np.random.default_rng(0).integers(0, 256, (24, 24), np.uint8)
LARGE = Image.fromarray(COARSE).resize((640, 600), Image.Resampling.BICUBIC)


def pixels(path, mode="L"):
    image = read_radiograph(path, mode)
    assert image.mode == mode
    return np.asarray(image)


def stack(*channels):
    return np.stack(channels, axis=-1)


def palette(transparent=None):
    """GRAY as indices into a palette that runs backwards."""
    image = Image.fromarray(255 - GRAY).convert("P")
    image.putpalette([255 - k for k in range(256) for _ in range(3)])
    if transparent is not None:
        image.info["transparency"] = transparent
    return image


PICTURES = {
    "L.png": (Image.fromarray(GRAY), GRAY),
    "L.bmp": (Image.fromarray(GRAY), GRAY),
    "LA.png": (Image.fromarray(stack(GRAY, CLEAR)), SEEN),
    "RGB.png": (Image.fromarray(stack(GRAY, GRAY, GRAY)), GRAY),
    "RGBA.png": (Image.fromarray(stack(GRAY, GRAY, GRAY, CLEAR)), SEEN),
    "P.png": (palette(), GRAY),
    "P transparent.png": (palette(transparent=255 - 231), np.where(GRAY == 231, 0, GRAY)),
    "1.png": (Image.fromarray(GRAY > 100), np.where(GRAY > 100, 255, 0)),
    # Without a stored range: the 0.1 and 99.9 percentiles are black and white.
    "I;16.png": (Image.fromarray(GRAY * np.uint16(100)), np.rint(GRAY * (255 / 231))),
    "I.tif": (Image.fromarray(GRAY * np.int32(1000) - 9999), np.rint(GRAY * (255 / 231))),
    "F.tif": (Image.fromarray(GRAY / np.float32(1e3)), np.rint(GRAY * (255 / 231))),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_mode_gives_the_gray_values_that_a_viewer_shows(tmp_path, name):
    image, expected = PICTURES[name]
    options = {"transparency": image.info["transparency"]} if "transparency" in image.info else {}
    image.save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as saved:
        assert saved.mode == name.split(".")[0].split()[0]
    tolerance = 1 if image.mode in {"I;16", "I", "F"} else 0  # percentiles lie between two pixels
    np.testing.assert_allclose(pixels(tmp_path / name), expected, atol=tolerance)


def png(kind, depth, rows, interlaced=False):
    """A PNG of colour type `kind`; each row is its packed bytes (PNG specification, 11.2)."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc32(name + data))

    samples = {0: 1, 2: 3, 4: 2, 6: 4}[kind]
    height, width = len(rows), 8 * len(rows[0]) // depth // samples
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    passes = b"".join(b"\0" + row for row in (adam7(rows) if interlaced else rows))
    body = chunk(b"IHDR", head) + chunk(b"IDAT", compress(passes)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def adam7(rows):
    """The rows of the seven passes of an interlaced image of one byte each pixel."""
    steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    for top, left, down, across in (*steps, (1, 0, 2, 1)):
        yield from (row[left::across] for row in rows[top::down] if row[left::across])


WORDS = struct.Struct(">12H")  # of 16 bits; the high byte is what a viewer shows
ODD = {
    "1 bit": (png(0, 1, [b"\xa5"]), [[255, 0, 255, 0, 0, 255, 0, 255]]),
    "2 bits": (png(0, 2, [b"\x1b"]), [[0, 85, 170, 255]]),
    "4 bits": (png(0, 4, [b"\x08\xf3"]), [[0, 136, 255, 51]]),
    "16-bit colour": (png(2, 16, [WORDS.pack(*[k << 8 for k in (9, 9, 9, 80, 80, 80) * 2])]),
                      [[9, 80, 9, 80]]),
    "16-bit gray and alpha": (png(4, 16, [struct.pack(">4H", 7 << 8, 65535, 200 << 8, 0)]),
                              [[7, 0]]),
    "interlaced": (png(0, 8, [bytes(row) for row in GRAY], interlaced=True), GRAY),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_pngs_give_the_gray_values_that_a_viewer_shows(tmp_path, name):
    content, expected = ODD[name]
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bits_are_read_in_either_byte_order(tmp_path, order):
    values = (GRAY * np.uint16(100)).astype(f"{order}u2")
    entries = [(256, 4), (257, 3), (258, 16), (259, 1), (262, 1), (273, 110), (278, 3), (279, 24)]
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    tags = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in entries]
    content = head + struct.pack(f"{order}H", len(tags)) + b"".join(tags) + bytes(4)
    (tmp_path / "a.tif").write_bytes(content + values.tobytes())
    np.testing.assert_allclose(pixels(tmp_path / "a.tif"), np.rint(GRAY * (255 / 231)), atol=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, ">i2", ">u2"])
def test_a_table_gives_what_the_function_gives(dtype):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, (9, 7), endpoint=True)
    values = values.astype(dtype)
    calls = []

    def convert(x):
        calls.append(x.size)
        return to_8bit(x, -77, 5000)

    np.testing.assert_array_equal(by_table(values, convert), to_8bit(values, -77, 5000))
    assert calls == [256**values.itemsize]


def test_what_is_not_a_number_does_not_set_the_gray_scale(tmp_path):
    values = GRAY / np.float32(1e3)
    Image.fromarray(values).save(tmp_path / "whole.tif")
    values = np.vstack([values, np.full((1, values.shape[1]), np.nan, np.float32)])
    Image.fromarray(values).save(tmp_path / "holes.tif")
    whole, holes = (np.asarray(read_radiograph(tmp_path / f"{n}.tif")) for n in ("whole", "holes"))
    np.testing.assert_array_equal(holes[:-1], whole)


def test_floats_have_no_table():
    values = np.array([[0.25, 0.5]])
    np.testing.assert_array_equal(by_table(values, lambda x: x * 2), [[0.5, 1]])


def test_the_usual_range_is_that_of_nearly_all_pixels():
    values = np.arange(10000)
    assert usual_range(values) == (9, 9990)
    values[:9995] = 7
    assert usual_range(values) == (7, 9999)


def test_an_image_keeps_its_colour_when_no_mode_is_asked_for(tmp_path):
    Image.new("RGB", (2, 2), (9, 8, 7)).save(tmp_path / "colour.png")
    Image.new("L", (2, 2), 9).save(tmp_path / "gray.png")
    modes = [read_radiograph(tmp_path / f"{name}.png", None).mode for name in ("colour", "gray")]
    assert modes == ["RGB", "L"]


def test_what_other_programs_would_have_to_run_is_not_opened(tmp_path):
    Image.new("L", (20, 20)).save(tmp_path / "a.eps")
    with pytest.raises(UnreadableImageError, match="not an image"):
        read_radiograph(tmp_path / "a.eps")


def test_a_file_larger_than_any_radiograph_is_not_read(tmp_path):
    with (tmp_path / "a.dcm").open("wb") as file:
        file.truncate(400_000_001)
    with pytest.raises(UnreadableImageError, match="more than 400,000,000 bytes"):
        read_radiograph(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("colour", "gray"),  # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
    [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((200, 100, 50), 124)],
)
def test_colour_becomes_its_luminance_or_stays_when_asked_for(tmp_path, colour, gray):
    Image.new("RGB", (2, 2), colour).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), gray)
    np.testing.assert_array_equal(pixels(tmp_path / "a.png", "RGB"), [[colour] * 2] * 2)


def test_half_transparent_pixels_lie_on_black(tmp_path):
    Image.new("LA", (2, 2), (200, 128)).save(tmp_path / "a.png")
    np.testing.assert_allclose(pixels(tmp_path / "a.png"), 200 * 128 / 255, atol=1)


def test_a_cmyk_jpeg_gives_its_gray_values(tmp_path):
    big = np.kron(GRAY, np.ones((16, 16), np.uint8))  # JPEG blurs edges, not areas
    ink = 255 - big
    Image.fromarray(stack(*[0 * ink] * 3, ink), "CMYK").save(tmp_path / "a.jpg", quality=95)
    centres = pixels(tmp_path / "a.jpg")[8::16, 8::16]
    np.testing.assert_allclose(centres, GRAY, atol=3)


def test_the_content_counts_and_not_the_name(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "a.webp", lossless=True)
    (tmp_path / "a.webp").rename(tmp_path / "webp.png")
    write_dicom(tmp_path / "dicom.png", GRAY)
    Image.fromarray(GRAY).save(tmp_path / "no suffix", "PNG")
    for name in ("webp.png", "dicom.png", "no suffix"):
        np.testing.assert_array_equal(pixels(tmp_path / name), GRAY, err_msg=name)


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a), (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (4, np.flipud),
        (5, np.transpose), (6, lambda a: np.rot90(a, -1)), (7, lambda a: np.rot90(a, 2).T),
        (8, np.rot90),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_orientation_is_applied(tmp_path, orientation, upright, dtype):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GRAY.astype(dtype)).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(GRAY.astype(dtype)).save(tmp_path / "plain.png")
    expected = upright(pixels(tmp_path / "plain.png"))
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), expected)


def test_one_stray_pixel_does_not_set_the_scale_of_16_bits(tmp_path):
    scan = np.full((64, 64), 1000, np.uint16)
    scan[:, 32:] = 3000
    scan[0, 0], scan[0, 1], scan[1, 0] = 65535, 0, 2000
    Image.fromarray(scan).save(tmp_path / "a.png")
    gray = pixels(tmp_path / "a.png")
    assert (gray[0, 0], gray[0, 1], gray[1, 0], gray[9, 9], gray[9, 60]) == (255, 0, 128, 0, 255)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_picture_of_one_value_is_black(tmp_path, value):
    Image.fromarray(np.full((4, 4), value, np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), 0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 0, 128, 255, 255]), (100, 0, [255, 255, 128, 0, 0]),
        (-50, 150, [0, 64, 128, 191, 255]),
    ],
)  # fmt: skip
def test_gray_values_are_scaled_from_black_to_white_and_clipped(low, high, expected):
    assert to_8bit(np.array([-50, 0, 50, 100, 150]), low, high).tolist() == expected


def broken(kind, folder):
    """The path of a file that gives no radiograph."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    path = folder / f"file{'.dcm' if 'dicom' in kind else '.png'}"
    if kind == "directory":
        path.mkdir()
    elif kind.startswith("truncated"):
        picture.save(path, kind.split()[1])
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "oversized":
        path.write_bytes(b"P4 11000 10000\n")  # a bitmap's header; the pixels do not matter
    elif kind == "decompression bomb":
        path.write_bytes(b"P4 100000 100000\n")
    elif kind != "missing":
        path.write_bytes({"empty": b"", "empty dicom": b""}.get(kind, b"<!DOCTYPE html>\n" * 9))
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "No such file or directory"), ("directory", "Is a directory"),
        ("empty", "not an image: an empty file"), ("text", "not an image: a web page"),
        ("truncated PNG", "truncated"), ("truncated JPEG", "truncated"), ("truncated WEBP", ""),
        ("truncated TIFF", ""), ("truncated GIF", "truncated"),
        ("empty dicom", "not an image: an empty file"), ("text dicom", "not an image: a web page"),
        ("oversized", "11000 x 10000 pixels; expected at most 100,000,000"),
        ("decompression bomb", "10000000000 pixels"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("error")
def test_a_file_that_is_no_radiograph_gives_one_line_with_its_path(tmp_path, kind, reason):
    path = broken(kind, tmp_path)
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert reason in line.removeprefix(f"{path}: ")


SEVERAL = RuntimeError("no plugin worked:\n\tone: bad data\n\ttwo: bad data")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SEVERAL, "broken image (no plugin worked: one: bad data two: bad data)"),
        (ValueError("bad filter"), "broken image (bad filter)"),
        (ValueError("invalid literal for int() with base 10: '1A'"), "broken image"),
        (ValueError("not enough values to unpack (expected 3, got 2)"), "broken image"),
        (TypeError("'NoneType' object is not subscriptable"), "broken image"),
        (KeyError("Rows"), "broken image"),
        (RecursionError("maximum recursion depth exceeded"), "broken image"),
        (MemoryError(), "broken image"),
    ],
)
def test_a_reason_is_one_line_without_the_words_of_python(tmp_path, monkeypatch, error, reason):
    def fail(*_, **__):
        raise error

    Image.fromarray(GRAY).save(tmp_path / "a.png")
    monkeypatch.setattr("data.images.radiograph.ImageOps.exif_transpose", fail)
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(tmp_path / "a.png")
    assert str(caught.value) == f"{tmp_path / 'a.png'}: {reason}"


HEIC = b"\0\0\0\x18ftypheic" + bytes(99)
JXL = b"\xff\x0a" + bytes(99)
NIFTI = bytes(344) + b"n+1\0" + bytes(99)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7\n", "not an image: a PDF document"),
        (b"PK\3\4" + bytes(99), "not an image: a zip archive or an office document"),
        (b"Dear colleague", "not an image: a text file"),
        ("Röntgen".encode("utf-16"), "not an image: a text file"),
        (b"BMI of the patients", "not an image: a text file"),
        (b"\0\0\0\x20ftypisom" + bytes(99), "not an image: a video"),
        (NIFTI, "not an image: a NIfTI volume"),
        (b"\1\2\3" * 99, "not an image"),
        (HEIC, "an image in HEIF format, which is not read here; save it as PNG"),
        (JXL, "an image in JPEG XL format, which is not read here; save it as PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a broken PNG image"),
        (b"II*\0" + bytes(2), "a broken TIFF image"),
    ],
)  # fmt: skip
def test_what_is_no_radiograph_is_called_what_it_is(tmp_path, content, reason):
    (tmp_path / "scan.png").write_bytes(content)
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(tmp_path / "scan.png")
    assert str(caught.value) == f"{tmp_path / 'scan.png'}: {reason}"


def test_a_png_with_a_bad_checksum_in_its_text_is_called_broken(tmp_path):
    text = PngInfo()
    text.add_text("Comment", "words")
    Image.fromarray(GRAY).save(tmp_path / "a.png", pnginfo=text)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content.replace(b"words", b"wards"))
    with pytest.raises(UnreadableImageError, match="a broken PNG image"):
        read_radiograph(tmp_path / "a.png")


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("padding", [b"", b"\0", b"\xff"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_read(tmp_path, progressive, padding):
    LARGE.save(tmp_path / "a.jpg", progressive=progressive)
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(content[:-2] + padding)
    np.testing.assert_array_equal(pixels(tmp_path / "b.jpg"), pixels(tmp_path / "a.jpg"))


def test_a_jpeg_that_lacks_more_is_cut_off(tmp_path):
    LARGE.save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    for lacking in (10, 300, len(content) // 2):
        (tmp_path / "a.jpg").write_bytes(content[:-lacking])
        with pytest.raises(UnreadableImageError, match="truncated"):
            read_radiograph(tmp_path / "a.jpg")


def test_resizing_to_the_own_size_changes_nothing():
    image = Image.fromarray(GRAY)
    assert resize(image, 3, 4) is image


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 64), (100, 60), (700, 640)])
def test_resizing_is_antialiased_bilinear_within_a_gray_level(height, width):
    ours = np.asarray(resize(LARGE, height, width), float)
    plain = np.asarray(LARGE.resize((width, height), Image.Resampling.BILINEAR), float)
    assert ours.shape == (height, width)
    assert np.abs(ours - plain).mean() < 0.5
    assert np.abs(ours - plain).max() <= 4


def test_shrinking_does_not_pick_pixels_but_averages_them():
    grid = np.indices((640, 640)).sum(axis=0) % 2 * np.uint8(255)  # every other pixel is white
    small = np.asarray(resize(Image.fromarray(grid.astype(np.uint8)), 64, 64))
    np.testing.assert_allclose(small, 127.5, atol=2)


def write_large(path, rotated=False):
    exif = Image.Exif()
    exif[0x0112] = 6 if rotated else 1
    if path.suffix == ".dcm":
        write_dicom(path, np.asarray(LARGE), JPEGBaseline8Bit)
    else:
        LARGE.save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.dcm"])
@pytest.mark.parametrize(("enough", "size"), [(301, (640, 600)), (300, (320, 300)), (9, (80, 75))])
def test_of_a_large_jpeg_no_more_than_enough_is_decoded(tmp_path, name, enough, size):
    path = write_large(tmp_path / name)
    image = read_radiograph(path, enough=enough)
    assert (image.size, image.info["size"]) == (size, (640, 600))
    wanted = np.asarray(resize(LARGE, 75, 80), float)
    assert np.abs(np.asarray(resize(image, 75, 80)) - wanted).mean() < 2


def test_the_size_of_the_file_is_reported_upright_and_a_png_is_read_whole(tmp_path):
    turned = read_radiograph(write_large(tmp_path / "a.jpg", rotated=True), enough=300)
    assert (turned.size, turned.info["size"]) == ((300, 320), (600, 640))
    png = read_radiograph(write_large(tmp_path / "a.png"), enough=75)
    assert png.size == png.info["size"] == (640, 600)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.dcm"])
def test_the_header_tells_the_size_and_no_pixel_is_read(tmp_path, name):
    path = tmp_path / name
    gray = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    if name == "a.dcm":
        write_dicom(path, gray)
    else:
        Image.fromarray(gray).save(path)
    path.write_bytes(path.read_bytes()[:-1000])  # some of the pixels
    assert image_size(path) == (64, 48)


def test_what_has_no_header_has_no_size(tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.dcm").touch()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")  # opening it would never end
    for name in ("text.png", "empty.dcm", "pipe.png", "missing.png", ""):
        assert image_size(tmp_path / name) is None

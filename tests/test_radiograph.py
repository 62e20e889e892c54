import numpy as np
import pytest
from PIL import Image

from data.pixels import UnreadableImageError, to_8bit
from data.radiograph import find_images, read_radiograph, resize
from data.sample.dicom import write_dicom

GRAY = np.arange(0, 252, 21, dtype=np.uint8).reshape(3, 4)  # 0, 21 ... 231
CLEAR = np.array([[0, 255, 0, 255]] * 3, dtype=np.uint8)  # of alpha: every other column shows
SEEN = np.where(CLEAR, GRAY, 0)  # on black


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
        (1, lambda a: a),
        (2, np.fliplr),
        (3, lambda a: np.rot90(a, 2)),
        (4, np.flipud),
        (5, np.transpose),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).T),
        (8, np.rot90),
    ],
)
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
def test_a_picture_of_one_value_is_black(value):
    np.testing.assert_array_equal(to_8bit(np.full((4, 4), value, np.uint16)), 0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 0, 128, 255, 255]),
        (100, 0, [255, 255, 128, 0, 0]),
        (-50, 150, [0, 64, 128, 191, 255]),
    ],
)
def test_gray_values_are_scaled_from_black_to_white_and_clipped(low, high, expected):
    np.testing.assert_array_equal(
        to_8bit(np.array([[-50, 0, 50, 100, 150]]), low, high), [expected]
    )


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
        ("missing", "No such file or directory"),
        ("empty", "not an image"),
        ("text", "not an image"),
        ("directory", "Is a directory"),
        ("truncated PNG", "truncated"),
        ("truncated JPEG", "truncated"),
        ("truncated WEBP", ""),
        ("truncated TIFF", ""),
        ("truncated GIF", "truncated"),
        ("empty dicom", "without pixel data"),
        ("text dicom", "without pixel data"),
        ("oversized", "11000 x 10000 pixels; expected at most 100,000,000"),
        ("decompression bomb", "10000000000 pixels"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_file_that_is_no_radiograph_gives_one_line_with_its_path(tmp_path, kind, reason):
    path = broken(kind, tmp_path)
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert reason in line.removeprefix(f"{path}: ")


def test_an_error_of_many_lines_becomes_one(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no plugin worked:\n\tone: bad data\n\ttwo: bad data")

    Image.fromarray(GRAY).save(tmp_path / "a.png")
    monkeypatch.setattr("data.radiograph.ImageOps.exif_transpose", fail)
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(tmp_path / "a.png")
    assert str(caught.value) == (
        f"{tmp_path / 'a.png'}: broken image"
        " (RuntimeError: no plugin worked: one: bad data two: bad data)"
    )


def test_resizing_to_the_own_size_changes_nothing():
    image = Image.fromarray(GRAY)
    assert resize(image, 3, 4) is image


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 64), (100, 60), (700, 640)])
def test_resizing_is_antialiased_bilinear_within_a_gray_level(height, width):
    coarse = np.random.default_rng(0).integers(0, 256, (24, 24), np.uint8)
    image = Image.fromarray(coarse).resize((640, 600), Image.Resampling.BICUBIC)
    ours = np.asarray(resize(image, height, width), float)
    plain = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), float)
    assert ours.shape == (height, width)
    assert np.abs(ours - plain).mean() < 0.5
    assert np.abs(ours - plain).max() <= 4


def test_shrinking_does_not_pick_pixels_but_averages_them():
    grid = np.indices((640, 640)).sum(axis=0) % 2 * np.uint8(255)  # every other pixel is white
    small = np.asarray(resize(Image.fromarray(grid.astype(np.uint8)), 64, 64))
    np.testing.assert_allclose(small, 127.5, atol=2)


def test_images_of_a_folder_come_sorted_by_suffix_or_without_one_and_without_what_is_hidden(
    tmp_path,
):
    kept = ["a.png", "b/IM0001", "b/c.JPG", "b/d.dcm", "e.webp"]
    other = ["notes.txt", "table.csv", "report.pdf", ".hidden.png", ".git/index", "b/.cache/f.png"]
    for name in (*other, *reversed(kept)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert find_images(tmp_path) == [tmp_path / name for name in kept]


def test_a_hidden_folder_that_is_asked_for_is_searched(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.png").write_bytes(b"")
    assert find_images(tmp_path / ".cache") == [tmp_path / ".cache" / "a.png"]


def test_a_file_stands_for_itself_and_a_folder_without_an_image_too(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for name in (tmp_path / "notes.txt", tmp_path / "missing.png", tmp_path):
        assert find_images(str(name)) == [name]

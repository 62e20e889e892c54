"""A thousand files that nobody should be sent: each is a row, and none stops the others."""

import csv
import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import minimal_prediction
import model.weights
from data.sample.dicom import write_dicom
from minimal_prediction import load, predict
from tests.conftest import run_script
from tests.fuzz import damage, whole_files
from tests.helpers import systems
from tests.helpers.networks import CLASSES, TinyNext, input_form, save_network

pytestmark = systems.posix

DAMAGED = 940
NAMES = [
    b"two\nlines.png", b"tab\t.png", b"Ro\xcc\x88ntgen.png", "胸部.png".encode(), b"\xff\xfe.png",
    b"\x1b[2J.png", b"-h.png", b"--.png", b"=cmd().png", b"100%.png", b"*.png", b"[a].png",
    b" .png",
    b"'quote\".png", "\U0001f600.png".encode(), "right\u202eto-left.png".encode(), b"a,b;c.png",
    b"x" * 250 + b".png", b"{name}.png", b"$HOME.png", b"\\n.png", b"nul\\0.png", b"~.png",
]  # fmt: skip
SHAPES = [(1, 1), (1, 3000), (3000, 1), (2, 2), (1, 2), (33, 31)]


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    torch.manual_seed(0)
    form = input_form((32, 32), fit="pad", equalize=True)
    return save_network(tmp_path / "best.pth", TinyNext(3), form)


def damaged(folder):
    whole = whole_files(folder)
    for number in range(DAMAGED):
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


def test_each_of_a_thousand_hostile_files_is_a_row_with_a_prediction_or_a_reason(
    checkpoint, tmp_path
):
    files = make(tmp_path, damaged, oddly_named, oddly_shaped, bombs, no_images)
    assert len(files) >= 1000
    rows = list(predict(load(checkpoint), files))
    assert [row["file"] for row in rows] == files
    for row in rows:
        if row["error"] is None:
            assert row["label"] in CLASSES
            assert sum(row["probabilities"].values()) == pytest.approx(1)
        else:
            assert row["label"] is None
            assert row["probabilities"] == {}
            assert row["error"].strip()
            assert len(row["error"].splitlines()) == 1
    read = {row["file"] for row in rows if row["error"] is None}
    names = lambda part: {f for f in files if f"/{part}/" in f}  # noqa: E731
    assert names("oddly_named") | names("oddly_shaped") <= read
    assert not names("bombs") & read
    assert not names("no_images") & read
    assert 20 < len(names("damaged") & read) < DAMAGED / 2


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_every_format_has_a_row_for_each_of_them_and_no_traceback(
    checkpoint, tmp_path, capfd, form
):
    wanted = make(tmp_path, oddly_named, bombs, no_images)
    wanted = [file for file in wanted if "\0" not in file]  # what a shell can hand over
    capfd.readouterr()
    with pytest.raises(SystemExit) as stop:
        run_script(minimal_prediction, *wanted, "--checkpoint", checkpoint, "--format", form)
    assert stop.value.code == 1
    seen = capfd.readouterr()
    assert "Traceback" not in seen.out + seen.err
    if form == "json":
        assert [row["file"] for row in json.loads(seen.out)] == wanted
        return
    lines = seen.out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(wanted) + (form == "csv")
    if form == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(seen.out))}) == 1


def test_their_pictures_are_one_for_each_file_that_can_be_read(checkpoint, tmp_path):
    files = make(tmp_path, oddly_named)
    rows = list(predict(load(checkpoint), [*files, "missing.png"], explain=tmp_path / "out"))
    written = {os.fsdecode(path) for path in (tmp_path / "out").iterdir()}
    assert {row["explanation"] for row in rows if not row["error"]} == written
    assert len(written) == len(files)
    assert rows[-1]["explanation"] is None

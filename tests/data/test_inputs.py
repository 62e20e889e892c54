"""Names, folders and patterns -> files -> pixels, in order, whatever is wrong with one."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from data.images.find_images import find_images
from data.images.preparation import Preparation
from data.inputs import find_inputs, read_ahead, read_input
from data.sample.dicom import write_dicom
from data.transforms import PLAIN, InputFormat
from tests.helpers import systems
from tests.helpers.paths import ROOT

FORM = InputFormat((16, 16), **PLAIN)
SCAN = np.add.outer(np.arange(20), np.arange(20)).astype(np.uint8) * 6


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "a/2.png", "a/deep/3.png", "b/4.png", "scan[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(SCAN).save(tmp_path / name)
    (tmp_path / "a/note.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["b/4.png", "a/1.png", "b/4.png"], ["b/4.png", "a/1.png", "b/4.png"]),
        (["b", "a"], ["b/4.png", "a/1.png", "a/2.png", "a/deep/3.png"]),
        (["a/*.png"], ["a/1.png", "a/2.png"]),
        (["?/[24].png"], ["a/2.png", "b/4.png"]),
        (["**/*.png"], ["a/1.png", "a/2.png", "a/deep/3.png", "b/4.png", "scan[1].png"]),
        (["a/d*"], ["a/deep/3.png"]),
        (["b/**"], ["b/4.png"]),
        (["scan[1].png"], ["scan[1].png"]),
        (["*.dcm", "missing.png", "empty"], ["*.dcm", "missing.png", "empty"]),
        (["", "nul\0/*.png", "./a//1.png"], ["", "nul\0/*.png", "./a//1.png"]),
        ("a", ["a/1.png", "a/2.png", "a/deep/3.png"]),
        (Path("b/4.png"), ["b/4.png"]),
    ],
)
def test_names_folders_and_patterns_give_their_files_in_order(folder, names, files):
    assert list(find_inputs(names)) == files
    assert list(find_inputs(files)) == files  # what was found gives itself again


def test_a_name_is_looked_up_when_its_turn_comes(folder):
    found = find_inputs(["b", "late"])
    assert next(found) == "b/4.png"
    (folder / "late").mkdir()
    Image.fromarray(SCAN).save(folder / "late/5.png")
    assert list(found) == ["late/5.png"]


@systems.posix
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("*.dcm", "no file fits the pattern"),
        ("missing.png", "No such file or directory"),
        ("empty", "a folder without an image"),
        ("a/note.txt", "not an image: a text file"),
        ("a/1.png/x.png", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("pipe.png", "a device or a pipe, which may never end; expected a file"),
        ("loop.png", "Too many levels of symbolic links"),
        ("gone.png", "No such file or directory"),
        ("", "an empty name; expected a file"),
    ],
)
def test_what_cannot_be_read_is_a_reason_in_one_line(folder, name, reason):
    os.mkfifo("pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere")
    (file,) = find_inputs([name])
    found = read_input(file, FORM)
    assert (found.file, found.pixels, found.error) == (name, None, reason)


@systems.posix
@systems.not_root
def test_a_folder_that_may_not_be_listed_is_a_row_among_the_others(folder):
    (folder / "a/deep").chmod(0)
    try:
        files = list(find_inputs(["a"]))
        assert files == ["a/1.png", "a/2.png", "a/deep"]
        assert read_input(files[2], FORM).error == "Permission denied"
    finally:
        (folder / "a/deep").chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_an_image_that_cannot_be_read(folder, monkeypatch):
    scan = os.scandir

    def closed(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert [str(file) for file in find_images("a")] == ["a/1.png", "a/2.png", "a/deep"]


@systems.posix
def test_a_link_that_leads_nowhere_is_not_left_out_of_its_folder(folder):
    (folder / "b/gone.png").symlink_to("nowhere")
    assert list(find_inputs(["b"])) == ["b/4.png", "b/gone.png"]


@pytest.mark.parametrize(("view", "doubt"), [
    ("PA", None), ("AP SUPINE", None), ("", None),
    ("LL", "its DICOM header says view LL; expected PA or AP"),
    ("lateral", "its DICOM header says view Lateral; expected PA or AP"),
])  # fmt: skip
def test_the_header_of_a_side_view_is_believed(tmp_path, view, doubt):
    write_dicom(tmp_path / "a.dcm", SCAN, ViewPosition=view)
    assert read_input(tmp_path / "a.dcm", FORM).doubt == doubt


def test_a_colour_photograph_is_doubted_though_the_network_sees_gray(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(colours).resize((200, 200)).save(tmp_path / "a.png")
    found = read_input(tmp_path / "a.png", FORM)
    assert found.pixels.shape == (1, 16, 16)
    assert found.doubt.startswith("a colour photograph")


@pytest.mark.parametrize(
    ("size", "shown"), [((40, 30), (40, 30)), ((2100, 1400), (1024, 683)), ((3, 1500), (2, 1024))]
)
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_film_is_shown_as_it_is_and_the_network_sees_the_same_as_without_it(
    tmp_path, name, size, shown
):
    Image.fromarray(SCAN).resize(size).save(tmp_path / name)
    form = InputFormat((16, 16), **PLAIN, prepared=Preparation(32))
    plain, both = (read_input(tmp_path / name, form, films) for films in (False, True))
    assert plain.film is None
    assert both.film.shape == shown[::-1]
    np.testing.assert_array_equal(plain.pixels, both.pixels)


def test_batches_keep_the_order_and_at_most_one_is_read_ahead(folder):
    asked = []

    def names():
        for k in range(100):
            asked.append(k)
            yield ["a/1.png", "missing.png"][k % 2]

    batches = read_ahead(names(), FORM, 10)
    for number in range(1, 4):
        batch = next(batches)
        assert [item.error is None for item in batch] == [True, False] * 5
        assert len(asked) == 10 * (number + 1)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]


def odd_scan(path):
    """More pixels than the header says, of which pydicom logs and warns late in the reading."""
    write_dicom(path, SCAN)
    path.write_bytes(path.read_bytes() + bytes(4))
    content = path.read_bytes()
    size = content.rindex(SCAN.tobytes()) - 4
    path.write_bytes(content[:size] + (SCAN.size + 4).to_bytes(4, "little") + content[size + 4 :])
    return path


def test_a_script_that_reads_odd_files_prints_nothing_of_its_readers(tmp_path):
    code = (
        "import sys\n"
        "from data.inputs import find_inputs, read_ahead\n"
        "from data.transforms import PLAIN, InputFormat\n"
        "from util.script import run\n"
        "form = InputFormat((16, 16), **PLAIN)\n"
        "read = lambda: list(read_ahead(find_inputs(sys.argv[1:] * 20), form, 8))\n"
        "run(lambda: print(sum(len(batch) for batch in read())), 'tool')\n"
    )
    cut = tmp_path / "cut.dcm"
    write_dicom(cut, SCAN, JPEGBaseline8Bit)
    cut.write_bytes(cut.read_bytes()[:-300])
    command = [sys.executable, "-c", code, odd_scan(tmp_path / "odd.dcm"), cut]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("40\n", "")

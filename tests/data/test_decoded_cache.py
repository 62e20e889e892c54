"""A split decoded once: made when it is not there or another dataset's, whole or not at all."""

import json
import os
import tempfile
import time

import numpy as np
import pytest
from PIL import Image

from data import decoded_cache as module
from data.decoded_cache import decode_once
from data.images.gray import UnreadableImageError
from data.images.preparation import Preparation
from data.transforms import PLAIN, InputFormat

FORM = InputFormat((16, 16), **PLAIN)
PAIRS = [("normal", "train")] * 3 + [("normal", "val")]
NAMES = [f"source-0000{k}.png" for k in (1, 2, 3)]


@pytest.fixture
def folder(make_dataset):
    return make_dataset(*PAIRS)


def expected(folder, form=FORM):
    return np.stack([form.read(folder / "train" / name) for name in NAMES])


@pytest.mark.parametrize(
    "form",
    [
        FORM,
        InputFormat((8, 20), **PLAIN),
        InputFormat((16, 16), **PLAIN, prepared=Preparation(8, "pad", equalize=True)),
        InputFormat((16, 16), **PLAIN, mode="RGB"),
    ],
    ids=["as it is", "resized", "prepared", "RGB"],
)
def test_rows_are_the_images_as_they_are_read_one_by_one(folder, form):
    array = np.load(decode_once(folder, "train", NAMES, form), mmap_mode="r")
    assert array.dtype == np.uint8
    assert np.array_equal(array, expected(folder, form))
    assert not array.flags.writeable


def test_it_is_made_once(folder, monkeypatch):
    path = decode_once(folder, "train", NAMES, FORM)
    assert path.parent == folder / "decoded"
    monkeypatch.setattr(module, "_write", None)
    assert decode_once(folder, "train", NAMES, FORM) == path


def test_each_size_and_split_has_a_file_of_its_own(folder):
    other = InputFormat((8, 8), **PLAIN)
    paths = {
        decode_once(folder, "train", NAMES, FORM),
        decode_once(folder, "train", NAMES, other),
        decode_once(folder, "val", ["source-00004.png"], FORM),
    }
    assert len(paths) == 3
    assert all(path.exists() for path in paths)


def test_the_array_of_another_dataset_is_not_used_but_removed(folder):
    old = decode_once(folder, "train", NAMES, FORM)
    val = decode_once(folder, "val", ["source-00004.png"], FORM)
    about = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(about | {"fingerprint": "0" * 64}))
    Image.new("L", (16, 16), 99).save(folder / "train" / NAMES[1])
    new = decode_once(folder, "train", NAMES, FORM)
    assert not old.exists()
    assert val.exists()
    assert (np.load(new)[1] == 99).all()


def test_an_image_that_was_changed_is_decoded_again(folder):
    path = decode_once(folder, "train", NAMES, FORM)
    Image.new("L", (16, 16), 99).save(folder / "train" / NAMES[1])
    later = path.stat().st_mtime_ns + 10**9
    os.utime(folder / "train" / NAMES[1], ns=(later, later))
    assert decode_once(folder, "train", NAMES, FORM) == path
    assert np.array_equal(np.load(path), expected(folder))


@pytest.mark.parametrize("names", [NAMES[:2], NAMES[::-1]], ids=["dropped", "another order"])
def test_another_table_has_an_array_of_its_own(folder, names):
    decode_once(folder, "train", NAMES, FORM)
    array = np.load(decode_once(folder, "train", names, FORM))
    assert np.array_equal(array, [FORM.read(folder / "train" / name) for name in names])


@pytest.mark.parametrize(
    "cut", [0, 60, -100, None], ids=["empty", "half a header", "half the images", "another shape"]
)
def test_an_array_that_is_not_whole_is_made_again(folder, cut):
    path = decode_once(folder, "train", NAMES, FORM)
    if cut is None:
        np.save(path, np.zeros((2, 1, 16, 16), np.uint8))
    path.write_bytes(path.read_bytes()[:cut])
    assert np.array_equal(np.load(decode_once(folder, "train", NAMES, FORM)), expected(folder))


def test_what_killed_processes_left_half_written_goes_after_an_hour(folder):
    path = decode_once(folder, "train", NAMES, FORM)
    dead, alive = (path.with_name(f".{path.stem}.{k}.npy") for k in ("0123abcd", "89abcdef"))
    for file, age in ((dead, 4000), (alive, 3000)):
        file.write_bytes(b"half")
        os.utime(file, (time.time() - age,) * 2)
    assert decode_once(folder, "train", NAMES, FORM) == path
    assert not dead.exists()
    assert alive.exists()


def test_a_broken_image_is_named_and_nothing_is_left(folder):
    (folder / "train" / NAMES[1]).write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"source-00002\.png: not an image"):
        decode_once(folder, "train", NAMES, FORM)
    assert list((folder / "decoded").iterdir()) == []


@pytest.mark.parametrize("kept", [False, True])
def test_where_the_dataset_cannot_be_written_to_it_lies_in_the_temporary_folder(
    folder, tmp_path, monkeypatch, kept
):
    """Also where only its folder for decoded images, if there is one, cannot."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    locked = folder / "decoded" if kept else folder
    locked.mkdir(exist_ok=True)
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked or mode != os.W_OK)
    path = decode_once(folder, "train", NAMES, FORM)
    assert path.is_relative_to(tmp_path)
    assert not list(folder.glob("decoded/*"))
    assert np.array_equal(np.load(path), expected(folder))


def test_datasets_that_cannot_be_written_to_leave_each_others_arrays_alone(
    make_dataset, tmp_path, monkeypatch
):
    folders = []
    for name in ("one", "two"):
        folders.append(make_dataset(*PAIRS).rename(tmp_path / name))
        about = json.loads((folders[-1] / "dataset.json").read_text())
        text = json.dumps(about | {"fingerprint": name * 10})
        (folders[-1] / "dataset.json").write_text(text)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(os, "access", lambda path, mode: path not in folders or mode != os.W_OK)
    paths = [decode_once(folder, "train", NAMES, FORM) for folder in folders]
    assert all(path.is_file() and path.is_relative_to(tmp_path / "temporary") for path in paths)


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(folder, small_files):
    large = InputFormat((256, 256), **PLAIN)
    with pytest.raises(OSError, match=r"File too large: '.*/decoded/train-256x256-.*\.npy'$"):
        decode_once(folder, "train", NAMES, large)
    assert list((folder / "decoded").iterdir()) == []


def test_the_bar_sees_every_file_and_knows_how_many_there_are(folder):
    seen = []

    def progress(files):
        assert len(files) == 3
        for file in files:
            seen.append(file.name)
            yield file

    decode_once(folder, "train", NAMES, FORM, progress)
    assert seen == NAMES


def test_a_run_that_is_stopped_does_not_wait_for_what_is_read_ahead(folder, monkeypatch):
    read = []

    def slowly(form, path):
        time.sleep(0.02)
        read.append(path)
        return np.zeros((1, 16, 16), np.uint8)

    def until_stopped(files):
        for file in 100 * files:
            yield file
            if len(read) > 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(InputFormat, "read", slowly)
    with pytest.raises(KeyboardInterrupt):
        decode_once(folder, "train", NAMES, FORM, until_stopped)
    assert len(read) < 100  # of 300
    assert list((folder / "decoded").iterdir()) == []

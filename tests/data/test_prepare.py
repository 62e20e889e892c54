import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from data.images.preparation import Preparation
from data.images.radiograph import read_radiograph, resize
from data.prepare import Prepared, prepare
from data.record import Dropped, Record
from data.sample.dicom import write_dicom

SCAN = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)


def record(row, path, **known):
    path = Path(path)
    return Record("source", row, path, "normal", f"source:{row}", "No Finding", path.name, **known)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Twenty pictures, a DICOM file, and in between two files that cannot be read."""
    raw = tmp_path_factory.mktemp("raw")
    records = []
    for row in range(1, 24):
        path = raw / f"{row}.png"
        scan = np.random.default_rng(row).integers(0, 256, (40 + row, 64), np.uint8)
        if row == 5:
            path.write_bytes(b"<!DOCTYPE html>")
        elif row == 9:
            pass  # not there
        elif row == 12:
            path = path.with_suffix(".dcm")
            write_dicom(path, scan[:40], ViewPosition="PA", PatientSex="F", PatientAge="051Y")
        else:
            Image.fromarray(scan).save(path)
        records.append(record(row, path))
    return records


def run(records, folder, workers):
    """What comes back, and the bytes of the files."""
    folder.mkdir()
    results = list(prepare(records, folder, Preparation(32), workers))
    return results, {path.name: path.read_bytes() for path in folder.iterdir()}


def test_processes_give_the_results_and_bytes_of_one_in_order_and_drop_what_is_unreadable(
    records, tmp_path
):
    results, files = run(records, tmp_path / "2", 2)
    assert (results, files) == run(records, tmp_path / "0", 0)
    rows = [item.row if isinstance(item, Dropped) else item.record.row for item in results]
    assert rows == list(range(1, 24))
    assert [item for item in results if isinstance(item, Dropped)] == [
        Dropped("source", 5, "5.png", "No Finding", "not an image: a web page"),
        Dropped("source", 9, "9.png", "No Finding", "No such file or directory"),
    ]
    assert len(files) == 21
    assert not {"source-00005.png", "source-00009.png"} & set(files)


def test_each_image_is_an_8_bit_png_of_the_size_with_the_digest_of_its_pixels(records, tmp_path):
    results, files = run(records, tmp_path / "out", 0)
    kept = [item for item in results if isinstance(item, Prepared)]
    assert {item.filename for item in kept} == set(files)
    for item in kept:
        assert item.filename == f"source-{item.record.row:05d}.png"
        with Image.open(tmp_path / "out" / item.filename) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (32, 32))
            assert item.digest == hashlib.sha256(image.tobytes()).hexdigest()
            assert image.tobytes() == resize(read_radiograph(item.record.path), 32, 32).tobytes()


def test_the_dicom_header_fills_what_the_table_leaves_empty(tmp_path):
    write_dicom(tmp_path / "a.dcm", SCAN, ViewPosition="PA", PatientSex="F", PatientAge="412")
    write_dicom(tmp_path / "b.DCM", SCAN)
    write_dicom(tmp_path / "IM0001", SCAN, ViewPosition="AP")
    records = [
        record(1, tmp_path / "a.dcm"),
        record(2, tmp_path / "a.dcm", view="AP", age="30"),
        record(3, tmp_path / "b.DCM", sex="M"),
        record(4, tmp_path / "IM0001"),
    ]
    results, _ = run(records, tmp_path / "out", 0)
    facts = [(item.record.view, item.record.sex, item.record.age) for item in results]
    assert facts == [("PA", "F", ""), ("AP", "F", "30"), ("", "M", ""), ("AP", "", "")]


def test_what_does_not_look_like_a_radiograph_is_a_dropped_row(tmp_path):
    Image.new("L", (40, 40), 7).save(tmp_path / "1.png")
    patches = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(patches).resize((90, 80)).save(tmp_path / "2.png")
    records = [record(row, tmp_path / f"{row}.png") for row in (1, 2)]
    results, files = run(records, tmp_path / "out", 0)
    assert [item.reason.partition(":")[0] for item in results] == ["blank", "a colour photograph"]
    assert not files


def test_the_width_and_height_are_those_of_the_raw_image(tmp_path):
    Image.fromarray(SCAN).resize((50, 40)).save(tmp_path / "1.png")
    (item,), _ = run([record(1, tmp_path / "1.png")], tmp_path / "out", 0)
    assert (item.width, item.height) == (50, 40)


def test_nothing_of_the_raw_file_but_its_pixels_is_in_the_png(tmp_path):
    about = PngInfo()
    about.add_text("Comment", "John Doe, born 1951")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    raw = Image.fromarray(SCAN)
    raw.save(tmp_path / "1.png", pnginfo=about, icc_profile=profile, dpi=(72, 72))
    _, files = run([record(1, tmp_path / "1.png")], tmp_path / "out", 0)
    (content,) = files.values()
    assert [name for name in (b"iCCP", b"tEXt", b"pHYs", b"eXIf") if name in content] == []


class Deadly(Preparation):
    """Ends the process at an image of 13 pixels, as a broken codec would."""

    def __call__(self, image):
        if image.width == 13:
            os.abort()
        return super().__call__(image)


def test_a_file_that_kills_its_process_is_a_dropped_row_and_no_other_is_lost(tmp_path):
    for row in range(1, 5):
        image = Image.fromarray(SCAN).resize((13 if row == 2 else 20, 20))
        image.save(tmp_path / f"{row}.png")
    records = [record(row, tmp_path / f"{row}.png") for row in range(1, 5)]
    (tmp_path / "out").mkdir()
    results = list(prepare(records, tmp_path / "out", Deadly(32), 1))
    dead = "the process that works on it dies (SIGABRT)"
    assert [getattr(item, "reason", "") for item in results] == ["", dead, "", ""]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_folder_that_cannot_be_written_to_is_an_error_and_no_dropped_row(tmp_path):
    Image.fromarray(SCAN).save(tmp_path / "1.png")
    for workers in (0, 1):
        with pytest.raises(FileNotFoundError):
            list(
                prepare(
                    [record(1, tmp_path / "1.png")], tmp_path / "none", Preparation(32), workers
                )
            )


def test_a_picture_cannot_pass_its_own_text_for_a_dicom_header(tmp_path):
    text = PngInfo()
    text.add_text("dicom", "view PA")
    scan = np.arange(4096, dtype=np.uint16).reshape(64, 64) // 16
    Image.fromarray(scan.astype(np.uint8)).save(tmp_path / "a.png", pnginfo=text)
    (item,) = prepare([record(1, tmp_path / "a.png")], tmp_path, Preparation(16), 0)
    assert item.record.view == ""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_is_an_error_that_names_the_image(tmp_path, small_files, workers):
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)
    Image.fromarray(noise).save(tmp_path / "1.bmp")
    (tmp_path / "out").mkdir()
    items = prepare([record(1, tmp_path / "1.bmp")], tmp_path / "out", Preparation(256), workers)
    with pytest.raises(OSError, match=r"File too large: '.*/out/source-00001\.png'$"):
        list(items)

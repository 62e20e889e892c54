import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.preparation import Preparation
from data.prepare import Prepared, prepare
from data.radiograph import read_radiograph, resize
from data.record import Dropped, Record
from data.sample.dicom import write_dicom


def record(row, path, **known):
    path = Path(path)
    return Record("source", row, path, "normal", f"source:{row}", "No Finding", path.name, **known)


@pytest.fixture
def records(tmp_path):
    """Twenty pictures, a DICOM file, and in between two files that cannot be read."""
    (tmp_path / "raw").mkdir()
    found = []
    for row in range(1, 24):
        path = tmp_path / "raw" / f"{row}.png"
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
        found.append(record(row, path))
    return found


def run(records, folder, workers):
    """What comes back, and the bytes of the files."""
    folder.mkdir()
    results = list(prepare(records, folder, Preparation(32), workers))
    return results, {path.name: path.read_bytes() for path in folder.iterdir()}


def test_any_number_of_workers_gives_the_same_results_and_the_same_bytes(records, tmp_path):
    plain = run(records, tmp_path / "0", 0)
    assert len(plain[1]) == 21
    for workers in (1, 2):
        assert run(records, tmp_path / str(workers), workers) == plain


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


def test_results_come_in_order_and_what_cannot_be_read_is_a_dropped_row(records, tmp_path):
    results, files = run(records, tmp_path / "out", 2)
    rows = [item.row if isinstance(item, Dropped) else item.record.row for item in results]
    assert rows == list(range(1, 24))
    assert [item for item in results if isinstance(item, Dropped)] == [
        Dropped("source", 5, "5.png", "No Finding", "not an image"),
        Dropped("source", 9, "9.png", "No Finding", "No such file or directory"),
    ]
    assert not {"source-00005.png", "source-00009.png"} & set(files)


def test_the_dicom_header_fills_in_what_the_table_did_not_tell(tmp_path):
    scan = np.zeros((16, 16), np.uint8)
    write_dicom(tmp_path / "a.dcm", scan, ViewPosition="PA", PatientSex="F", PatientAge="412")
    write_dicom(tmp_path / "b.DCM", scan)
    records = [
        record(1, tmp_path / "a.dcm"),
        record(2, tmp_path / "a.dcm", view="AP", age="30"),
        record(3, tmp_path / "b.DCM", sex="M"),
    ]
    results, _ = run(records, tmp_path / "out", 0)
    facts = [(item.record.view, item.record.sex, item.record.age) for item in results]
    assert facts == [("PA", "F", ""), ("AP", "F", "30"), ("", "M", "")]

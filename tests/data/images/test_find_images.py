import io
import os

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MediaStorageDirectoryStorage,
)

from data.images.find_images import find_images
from data.inputs import find_inputs, read_input
from data.sample.dicom import write_dicom
from data.sources import read
from data.transforms import PLAIN, InputFormat
from tests.helpers import systems

FORM = InputFormat((16, 16), **PLAIN)
SCAN = np.add.outer(np.arange(20), np.arange(20)).astype(np.uint8) * 6


def picture(kind):
    file = io.BytesIO()
    Image.fromarray(SCAN).save(file, kind)
    return file.getvalue()


def dicom(tmp_path, **header):
    path = tmp_path / "whole.dcm"
    write_dicom(path, SCAN, **header)
    content = path.read_bytes()
    path.unlink()
    return content


def without_preamble(content):
    return content[132:]


def without_meta(content):
    return content[144 + int.from_bytes(content[140:144], "little") :]


def implicit(tmp_path):
    write_dicom(tmp_path / "i", SCAN)
    dataset = dcmread(tmp_path / "i")
    (tmp_path / "i").unlink()
    del dataset.file_meta
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=True, little_endian=True)
    return file.getvalue()


FILMS = {
    "1.2.840.113564.17.2": dicom,
    "CR.1.2.276.0.7230010": dicom,
    "IM0001": dicom,
    "IM0002.gz.old": dicom,
    "no preamble": lambda folder: without_preamble(dicom(folder)),
    "no.meta": lambda folder: without_meta(dicom(folder)),
    "implicit.1.2": implicit,
    **{f"scan.{kind.lower()}.bak": lambda _, kind=kind: picture(kind)
       for kind in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "AVIF")},
}  # fmt: skip


@pytest.mark.parametrize("name", FILMS)
def test_a_film_is_found_and_read_whatever_its_name(tmp_path, name):
    content = FILMS[name](tmp_path)
    (tmp_path / name).write_bytes(content)
    (file,) = find_inputs([tmp_path])
    assert file == str(tmp_path / name)
    assert read_input(file, FORM).error is None


def without_image(tmp_path, kind=MediaStorageDirectoryStorage):
    write_dicom(tmp_path / "d", SCAN)
    dataset = dcmread(tmp_path / "d")
    (tmp_path / "d").unlink()
    dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.SOPClassUID = kind
    del dataset.PixelData
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


IMAGELESS = (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
)
# What lies beside the films of an export or a download.
BESIDE = {
    "LOCKFILE": b"", "README": b"Pyramid of folders, see below", "VERSION": b"BMI viewer 3.1\n",
    "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "meta.json": b"{}",
    "table.csv": b"P1,P2\n1,2\n", "page.html": b"<html>", "report.pdf": b"%PDF-1.7\n",
    "x.zip": b"PK\3\4", "viewer.exe": b"MZ\x90\0", "film.mp4": b"\0\0\0\x20ftypisom" + bytes(99),
    "zeros": bytes(999), "notes": "Röntgen\n".encode(),
    "list.txt": "P5 P6".encode("utf-16"), "short": b"\x08\x00",
    "scan.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    ".DS_Store": b"\0\0\0\1Bud1", "._film.png": b"\0\5\x16\7",
}  # fmt: skip


def test_what_lies_beside_the_films_of_a_folder_is_passed_over(tmp_path):
    (tmp_path / "DICOMDIR").write_bytes(without_image(tmp_path))
    for kind in IMAGELESS:
        for name in (kind.name, f"{kind.name}.dcm"):
            (tmp_path / name).write_bytes(without_image(tmp_path, kind))
    for name, content in BESIDE.items():
        (tmp_path / name).write_bytes(content)
    assert find_images(tmp_path) == [tmp_path]
    write_dicom(tmp_path / "IM0", SCAN)
    assert find_images(tmp_path) == [tmp_path / "IM0"]


@pytest.mark.parametrize("name", ["DICOMDIR", *BESIDE])
def test_whatever_is_named_is_taken(tmp_path, name):
    (tmp_path / name).write_bytes(BESIDE.get(name) or without_image(tmp_path))
    assert find_images(tmp_path / name) == [tmp_path / name]
    assert read_input(tmp_path / name, FORM).error


def test_the_suffix_of_an_image_is_enough_and_the_order_is_that_of_the_names(tmp_path):
    kept = ["a.png", "b/c.JPG", "b/d.dcm", "b/e.heic", "e.avif", "f.webp", "g.jxl"]
    other = ["notes.txt", "table.csv", ".hidden.png", ".git/index", "b/.cache/f.png"]
    for name in (*other, *reversed(kept)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert find_images(tmp_path) == [tmp_path / name for name in kept]


@systems.posix
def test_a_link_that_leads_nowhere_is_taken_and_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    assert find_images(tmp_path) == [tmp_path / "gone"]


@systems.posix
@systems.not_root
def test_a_file_that_may_not_be_read_is_taken(tmp_path):
    (tmp_path / "IM0001").write_bytes(b"x")
    (tmp_path / "IM0001").chmod(0)
    assert find_images(tmp_path) == [tmp_path / "IM0001"]


def test_a_text_that_begins_as_an_image_is_called_a_text(tmp_path):
    (tmp_path / "a.txt").write_text("P5 was the fifth patient")
    assert read_input(tmp_path / "a.txt", FORM).error == "not an image: a text file"


def test_a_hidden_folder_that_is_asked_for_is_searched(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "a.png").write_bytes(b"")
    assert find_images(tmp_path / ".cache") == [tmp_path / ".cache" / "a.png"]


def test_a_file_stands_for_itself_and_a_folder_without_an_image_too(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for name in (tmp_path / "notes.txt", tmp_path / "missing.png", tmp_path):
        assert find_images(str(name)) == [name]


def test_class_folders_have_the_same_films(tmp_path):
    (tmp_path / "normal").mkdir()
    (tmp_path / "normal" / "LOCKFILE").write_bytes(b"")
    write_dicom(tmp_path / "normal" / "1.2.840.113564.17.2", SCAN)
    records, dropped = read("folder", tmp_path)
    assert [record.path for record in records] == find_images(tmp_path)
    assert [item.original for item in dropped] == ["normal/LOCKFILE"]

import errno
import os

import pytest

from data import sources
from data.sources import class_folders
from tests.helpers import systems


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def read(folder):
    """What the source gives; rows are counted from 1 without a gap."""
    records, dropped = class_folders.read(folder)
    numbers = sorted(item.row for item in (*records, *dropped))
    assert numbers == list(range(1, len(numbers) + 1))
    return records, dropped


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("normal", "normal"), ("NORMAL", "normal"), ("Pneumonia", "pneumonia"),
        ("covid-19", "COVID-19"), ("COVID-19", "COVID-19"), ("COVID", "COVID-19"),
        ("covid_19", "COVID-19"), ("SARS-CoV-2", "COVID-19"), ("No findings", "normal"),
        ("Viral Pneumonia", "Viral Pneumonia"), ("Müller", "Müller"),
    ],
)  # fmt: skip
def test_the_name_of_the_folder_is_the_label(tmp_path, name, label):
    (record,), dropped = read(make(tmp_path / "set", f"{name}/a.png"))
    assert (record.label, record.finding, dropped) == (label, name, [])


def test_a_record_says_where_it_comes_from(tmp_path):
    folder = make(tmp_path / "set", "Normal/b.jpg", "COVID-19/a.png")
    assert read(folder)[0][1] == class_folders.Record(
        "folder", 2, folder / "Normal/b.jpg", "normal", patient_id="folder:Normal/b.jpg",
        finding="Normal", original="Normal/b.jpg", frontal=True,
    )  # fmt: skip


def test_a_file_is_a_patient_and_a_folder_below_the_class_is_one_too(tmp_path):
    names = ("a.png", "p1/a.png", "p1/day 3/a.png", "p2/a.png")
    names = (*(f"normal/{name}" for name in names), "pneumonia/a.png", "pneumonia/p1/b.png")
    records, _ = read(make(tmp_path / "set", *names))
    patients = [record.patient_id.removeprefix("folder:") for record in records]
    assert patients == ["normal/a.png", "p1", "p1", "p2", "pneumonia/a.png", "p1"]


def test_images_beside_masks_are_no_patient_and_the_masks_are_left_out(tmp_path):
    names = ("COVID/images/COVID-1.png", "COVID/images/COVID-2.png", "COVID/masks/COVID-1.png")
    records, (left_out,) = read(make(tmp_path / "set", *names))
    assert len({record.patient_id for record in records}) == 2
    assert (left_out.original, left_out.reason) == (names[2], "a mask, not a radiograph")


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "test"), {"train": ("train", "val"), "test": ("test",)}),
        (("Train", "VAL"), {"Train": ("train",), "VAL": ("val",)}),
        (("train", "valid", "test"), {"train": ("train",), "valid": ("val",), "test": ("test",)}),
        (("train", "validation"), {"train": ("train",), "validation": ("val",)}),
        (("normal", "trained"), {"normal": (), "trained": ()}),
    ],
)
def test_splits_above_the_classes_are_kept(tmp_path, folders, splits):
    folder = make(tmp_path / "set", *(f"{name}/normal/{name}.png" for name in folders))
    records, dropped = class_folders.read(folder)
    if "normal" in folders:  # classes, and one image of a patient called like a class
        assert [item.reason for item in dropped] == ["'normal' is not a patient's folder"] * 2
        return
    assert {record.original.split("/")[0]: record.splits for record in records} == splits
    assert {record.label for record in records} == {"normal"}


def test_a_patient_in_train_and_test_keeps_one_id(tmp_path):
    folder = make(tmp_path / "set", "train/normal/p1/a.png", "test/COVID-19/p1/b.png")
    records, _ = read(folder)
    assert {record.patient_id for record in records} == {"folder:p1"}
    assert {record.splits for record in records} == {("train", "val"), ("test",)}


def test_a_split_beside_a_class_is_refused(tmp_path):
    folder = make(tmp_path / "set", "train/normal/a.png", "pneumonia/a.png")
    with pytest.raises(ValueError, match="beside pneumonia") as caught:
        class_folders.read(folder)
    assert str(caught.value) == (
        f"{folder}: found train, a split, beside pneumonia; expected class folders, or only"
        " train, val and test with the class folders in them. Move the others away"
    )


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ("chest_xray", ("train/normal/a.png", "test/covid/a.png")),
        ("archive/chest_xray", ("train/normal/a.png", "test/covid/a.png")),
        ("archive", ("COVID/images/a.png", "Lung_Opacity/images/a.png", "Normal/images/a.png")),
        ("normal", ("covid19/a.png", "tb/a.png")),
        ("films", ("cats/a.png", "dogs/b.png")),
        ("films", ("sets2020/cats/a.png", "sets2020/dogs/b.png")),
    ],
)
def test_a_folder_that_is_too_high_is_refused_with_the_one_to_give(tmp_path, above, names):
    folder = make(tmp_path / "set", *(f"{above}/{name}" for name in names))
    with pytest.raises(ValueError, match="expected") as caught:
        class_folders.read(folder)
    assert str(caught.value).startswith(f"{folder}: found ")
    assert f"ive {folder / above}" in str(caught.value)


@pytest.mark.parametrize(
    "names", [("tb/a.png",), ("tb/p1/a.png", "tb/p2/a.png"), ("normal/anna/a.png",)]
)
def test_a_single_class_is_taken(tmp_path, names):
    records, dropped = read(make(tmp_path / "set", *names))
    assert (len(records), dropped) == (len(names), [])


def test_two_folders_above_the_classes_are_refused(tmp_path):
    folder = make(tmp_path / "set", "a/normal/1.png", "a/tb/1.png", "b/tb/2.png")
    with pytest.raises(ValueError, match=r"found normal in a; expected .* Give .*/set/a$"):
        class_folders.read(folder)


def test_what_is_no_image_or_in_no_class_is_left_out_with_its_reason(tmp_path):
    names = ("normal/a.png", "normal/notes.txt", "README.txt", "b.png", "normal/scan.nii.gz")
    records, dropped = read(make(tmp_path / "set", *names))
    assert [record.original for record in records] == ["normal/a.png"]
    assert {item.original: item.reason for item in dropped} == {
        "README.txt": "not an image file",
        "b.png": "not in a class folder",
        "normal/notes.txt": "not an image file",
        "normal/scan.nii.gz": "not an image file",
    }


def test_what_lies_beside_the_films_does_not_make_the_folder_another_one(tmp_path):
    beside = ("DICOMDIR", "LOCKFILE", "README", "VERSION")
    for name in beside:
        (make(tmp_path / "set", "normal/a.png") / name).write_text("of an export\n")
    (record,), dropped = sources.read("folder", tmp_path / "set")
    assert record.original == "normal/a.png"
    assert [item.original for item in dropped] == list(beside)


@pytest.mark.parametrize("name", ["a.PNG", "a.jpeg", "a.dcm", "a.tif", "a.webp"])
def test_every_kind_of_image_is_taken(tmp_path, name):
    (record,), _ = read(make(tmp_path / "set", f"normal/{name}"))
    assert record.path.name == name


def test_what_is_hidden_is_passed_over_wherever_it_is(tmp_path):
    names = (".DS_Store", ".git/a.png", "normal/.a.png", "normal/p/.b/a.png", "normal/a.png")
    records, dropped = read(make(tmp_path / "set", *names))
    assert [record.original for record in records] == ["normal/a.png"]
    assert not dropped


@systems.posix
def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    make(tmp_path / "elsewhere", "normal/a.png", "covid/p1/a.png")
    folder = make(tmp_path / "set", "tb/b.png")
    for name in ("normal", "covid"):
        (folder / name).symlink_to(tmp_path / "elsewhere" / name)
    for place, target in (("tb", folder), ("../elsewhere/covid", tmp_path / "elsewhere/normal")):
        (folder / place / "loop").symlink_to(target)
    (tmp_path / "elsewhere/normal/loop").symlink_to(tmp_path)
    records, dropped = read(folder)
    assert [r.original for r in records] == ["covid/p1/a.png", "normal/a.png", "tb/b.png"]
    assert [d.original for d in dropped] == ["covid/loop", "normal/loop", "tb/loop"]


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path, monkeypatch):
    folder = make(tmp_path / "set", "normal/a.png", "covid/b.png")
    scan = os.scandir

    def closed(path):
        if str(path).endswith("covid"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match="set/covid'"):
        class_folders.read(folder)


def test_a_folder_without_an_image_beside_the_splits_is_passed_over(tmp_path):
    names = ("train/normal/a.png", "test/normal/b.png", "__MACOSX/train/normal/._a.png", "x/y.txt")
    records, dropped = read(make(tmp_path / "set", *names))
    assert [record.splits for record in records] == [("test",), ("train", "val")]
    assert [(d.original, d.reason) for d in dropped] == [("x/y.txt", "not an image file")]


@pytest.mark.parametrize("name", ["covid.zip", "normal/covid.tar.gz"])
def test_an_archive_is_named(tmp_path, name):
    _, (left_out,) = read(make(tmp_path / "set", "normal/a.png", name))
    assert (left_out.original, left_out.reason) == (name, "an archive; unzip it")


@systems.posix
def test_names_that_are_not_utf_8_are_escaped(tmp_path):
    try:
        folder = make(tmp_path / "set", "M\udcfcll/p\udcff/a.png", "tb/a.png")
    except OSError:
        pytest.skip("a file system of valid names")
    (record, _), _ = read(folder)
    assert (record.label, record.patient_id) == ("M\\udcfcll", "folder:p\\udcff")
    assert record.original == "M\\udcfcll/p\\udcff/a.png"
    assert record.path.exists()


def test_rows_are_in_the_order_of_the_names_whatever_that_of_the_disk(tmp_path):
    names = ("b/2.png", "a/10.png", "a/z/1.png", "b/1.png", "a/2.png")
    records, _ = read(make(tmp_path / "set", *names))
    assert [record.original for record in records] == sorted(names)


def test_patients_that_are_taken_for_classes_are_an_error(tmp_path):
    folder = make(tmp_path / "set", *(f"patient-{k}/a.png" for k in range(51)))
    with pytest.raises(ValueError, match="found 51 class folders; expected 50 at most"):
        class_folders.read(folder)

import pytest

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
        ("covid-19", "COVID-19"), ("COVID-19", "COVID-19"), ("COVID", "COVID"),
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
        assert [item.reason for item in dropped] == ["'normal' is no patient's folder"] * 2
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


@pytest.mark.parametrize("wrapped", ["train/normal/a.png", "COVID-19/a.png", "Normal/a.png"])
def test_a_folder_one_too_high_gives_no_image_of_a_wrong_class(tmp_path, wrapped):
    records, (left_out,) = read(make(tmp_path / "set", f"chest_xray/{wrapped}"))
    assert not records
    assert left_out.reason == f"'{wrapped.split('/')[0]}' is no patient's folder"


def test_what_is_no_image_or_in_no_class_is_left_out_with_its_reason(tmp_path):
    names = ("normal/a.png", "normal/notes.txt", "README.txt", "b.png", "normal/scan.nii.gz")
    records, dropped = read(make(tmp_path / "set", *names))
    assert [record.original for record in records] == ["normal/a.png"]
    assert {item.original: item.reason for item in dropped} == {
        "README.txt": "not in a class folder",
        "b.png": "not in a class folder",
        "normal/notes.txt": "no image file, by its name",
        "normal/scan.nii.gz": "no image file, by its name",
    }


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
def test_a_link_to_a_folder_elsewhere_is_not_followed_and_comes_back(tmp_path):
    make(tmp_path / "elsewhere", "a.png")
    folder = make(tmp_path / "set", "normal/b.png")
    (folder / "normal" / "p1").symlink_to(tmp_path / "elsewhere")
    (folder / "normal" / "loop").symlink_to(folder)
    records, dropped = read(folder)
    assert [record.original for record in records] == ["normal/b.png"]
    assert [item.original for item in dropped] == ["normal/loop", "normal/p1"]


def test_rows_are_in_the_order_of_the_names_whatever_that_of_the_disk(tmp_path):
    names = ("b/2.png", "a/10.png", "a/z/1.png", "b/1.png", "a/2.png")
    records, _ = read(make(tmp_path / "set", *names))
    assert [record.original for record in records] == sorted(names)


def test_patients_that_are_taken_for_classes_are_an_error(tmp_path):
    folder = make(tmp_path / "set", *(f"patient-{k}/a.png" for k in range(51)))
    with pytest.raises(ValueError, match="found 51 class folders; expected 50 at most"):
        class_folders.read(folder)

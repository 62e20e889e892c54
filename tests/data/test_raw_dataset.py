"""A user's own class folders, evaluated as they are."""

import numpy as np
import pytest
import torch
from PIL import Image

from data.dataset_folder import COLUMNS
from data.loader import make_loader
from data.raw_dataset import RawDataset
from data.sample.dicom import write_dicom
from data.transforms import PLAIN, InputFormat

MAPPING = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
FORM = InputFormat((32, 48), **PLAIN)


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("normal/a.png", "normal/p1/b.png", "normal/p1/c.png", "covid-19/d.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (40, 40), np.uint8)).save(path)
    return tmp_path


def test_the_images_of_a_class_folder_are_those_that_the_form_reads(folder):
    images = RawDataset("folder", folder, MAPPING, FORM)
    assert list(images.table.columns) == COLUMNS
    assert list(images.table["filename"]) == [
        "covid-19/d.png", "normal/a.png", "normal/p1/b.png", "normal/p1/c.png",
    ]  # fmt: skip
    assert images.targets == [2, 0, 0, 0]
    for k, name in enumerate(images.table["filename"]):
        assert np.array_equal(images[k][0], FORM.read(folder / name))


def test_a_folder_below_the_class_is_a_patient(folder):
    patients = RawDataset("folder", folder, MAPPING, FORM).table["patient_id"]
    assert patients[2] == patients[3]
    assert patients.nunique() == 3


def test_what_cannot_be_read_is_left_out_with_its_reason(folder):
    (folder / "normal" / "cut.png").write_bytes((folder / "normal/a.png").read_bytes()[:200])
    (folder / "normal" / "notes.txt").write_text("no image")
    images = RawDataset("folder", folder, MAPPING, FORM)
    assert len(images) == 4
    reasons = {item.original: item.reason for item in images.dropped}
    assert set(reasons) == {"normal/cut.png", "normal/notes.txt"}
    assert str(folder) not in reasons["normal/cut.png"]


@pytest.mark.parametrize(
    ("mapping", "targets"),
    [
        ({"normal": 0, "COVID-19": 1}, [1, 0, 0, 0]),
        ({"normal": 0, "covid-19": 1}, [1, 0, 0, 0]),  # as the model spells it
    ],
)
def test_a_class_folder_may_be_spelt_as_the_model_spells_it_or_otherwise(folder, mapping, targets):
    assert RawDataset("folder", folder, mapping, FORM).targets == targets
    (folder / "covid-19").rename(folder / "SARS_CoV_2")
    if "COVID-19" in mapping:
        assert sorted(RawDataset("folder", folder, mapping, FORM).targets) == sorted(targets)


def test_a_folder_that_is_no_class_is_counted_and_not_used(folder):
    (folder / "other").mkdir()
    (folder / "normal" / "a.png").rename(folder / "other" / "a.png")
    images = RawDataset("folder", folder, MAPPING, FORM)
    assert (len(images), images.unused) == (3, {"other": 1})


def test_folders_none_of_which_is_a_class_are_one_line(folder):
    with pytest.raises(ValueError, match="found the classes COVID-19, normal; expected some of"):
        RawDataset("folder", folder, {"tuberculosis": 0, "healthy": 1}, FORM)


def test_a_folder_without_a_readable_image_is_one_line(tmp_path):
    (tmp_path / "normal").mkdir()
    (tmp_path / "normal" / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"no image could be read; the first: not an image"):
        RawDataset("folder", tmp_path, MAPPING, FORM)


def test_view_and_sex_and_age_come_from_a_dicom_header(folder):
    pixels = np.random.default_rng(1).integers(0, 256, (40, 40), np.uint8)
    write_dicom(
        folder / "normal" / "e.dcm", pixels, ViewPosition="AP", PatientSex="F", PatientAge="051Y"
    )
    row = (
        RawDataset("folder", folder, MAPPING, FORM).table.set_index("filename").loc["normal/e.dcm"]
    )
    assert (row["view"], row["sex"], row["age"]) == ("AP", "F", "51")


def test_batches_come_in_the_order_of_the_table(folder):
    images = RawDataset("folder", folder, MAPPING, FORM)
    batches = list(make_loader(images, [[0, 1, 2], [3]], workers=0, pin=False))
    assert torch.cat([targets for _, targets in batches]).tolist() == images.targets
    assert torch.cat([pixels for pixels, _ in batches]).shape == (4, 1, 32, 48)

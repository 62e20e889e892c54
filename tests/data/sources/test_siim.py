import csv
import logging

import numpy as np
import pytest
from pydicom import dcmread

from data.images.dicom import read_patient_id
from data.images.radiograph import read_radiograph
from data.sample import siim as drawn
from data.sample.dicom import write_dicom
from data.sources import siim
from tests.conftest import content

NEGATIVE, TYPICAL, INDETERMINATE, ATYPICAL = siim.LABELS
STUDIES_HEADER = ("id", *siim.LABELS)
IMAGES_HEADER = ("id", "boxes", "label", "StudyInstanceUID")


def make(folder, studies, images):
    """The source with studies (id -> one-hot row) and images (id, study, DICOM PatientID)."""
    rows = [(f"{study}_study", *row) for study, row in studies.items()]
    write_csv(folder / "train_study_level.csv", STUDIES_HEADER, rows)
    rows = [(f"{image}_image", "", "none 1 0 0 1 1", study) for image, study, _ in images]
    write_csv(folder / "train_image_level.csv", IMAGES_HEADER, rows)
    for image, study, patient in images:
        path = folder / "train" / study / "series" / f"{image}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_dicom(path, np.zeros((4, 4), np.uint16), PatientID=patient)
    (folder / "train").mkdir(exist_ok=True)
    return folder


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def one_hot(*labels):
    return [int(label in labels) for label in siim.LABELS]


def read(folder):
    """What the source gives; each row of the image table comes back exactly once."""
    records, dropped = siim.read(folder)
    numbers = sorted(item.row for item in (*records, *dropped))
    with (folder / "train_image_level.csv").open() as file:
        assert numbers == list(range(1, len(list(csv.reader(file)))))
    return records, dropped


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("siim")
    drawn.write(folder, 1337, dict.fromkeys(siim.LABELS, 3), 64)
    return folder


@pytest.mark.parametrize("label", siim.LABELS)
def test_the_class_of_a_study_is_the_label_of_all_its_images(tmp_path, label):
    images = [("a", "s", "p"), ("b", "s", "p"), ("c", "s", "p")]
    records, dropped = read(make(tmp_path / "siim", {"s": one_hot(label)}, images))
    assert not dropped
    assert [(record.label, record.finding) for record in records] == [(label, label)] * 3


def test_the_labels_are_the_four_of_the_source_and_none_is_called_normal(sample):
    records, _ = read(sample)
    labels = {f"{kind} Appearance" for kind in ("Typical", "Indeterminate", "Atypical")}
    assert {record.label for record in records} == {"Negative for Pneumonia"} | labels


def test_a_record_says_where_it_comes_from(tmp_path):
    folder = make(tmp_path / "siim", {"s": one_hot(TYPICAL)}, [("a", "s", "p1")])
    (record,), _ = read(folder)
    assert record == siim.Record(
        "siim", 1, folder / "train/s/series/a.dcm", "Typical Appearance", patient_id="siim:p1",
        finding="Typical Appearance", original="train/s/series/a.dcm", frontal=True,
    )  # fmt: skip


def test_studies_of_one_dicom_patient_are_one_patient(tmp_path):
    studies = {"s": one_hot(NEGATIVE), "t": one_hot(ATYPICAL), "u": one_hot(TYPICAL)}
    images = [("a", "s", "p1"), ("b", "t", " p1 "), ("c", "u", "p2")]
    records, _ = read(make(tmp_path / "siim", studies, images))
    assert [record.patient_id for record in records] == ["siim:p1", "siim:p1", "siim:p2"]


def test_without_a_dicom_patient_a_study_is_a_patient(tmp_path):
    studies = {"s": one_hot(NEGATIVE), "t": one_hot(ATYPICAL)}
    images = [("a", "s", ""), ("b", "s", ""), ("c", "t", "")]
    records, _ = read(make(tmp_path / "siim", studies, images))
    assert [r.patient_id for r in records] == ["siim:study s", "siim:study s", "siim:study t"]


def test_all_images_of_a_study_are_of_one_patient_whatever_their_headers_say(tmp_path):
    studies = {"s": one_hot(NEGATIVE), "t": one_hot(ATYPICAL)}
    images = [("a", "s", "p1"), ("b", "s", ""), ("c", "s", "p2"), ("d", "t", "p2")]
    records, _ = read(make(tmp_path / "siim", studies, images))
    assert len({record.patient_id for record in records}) == 1


def test_a_broken_header_leaves_the_image_to_its_study(tmp_path):
    folder = make(tmp_path / "siim", {"s": one_hot(TYPICAL)}, [("a", "s", "p")])
    path = folder / "train" / "s" / "series" / "a.dcm"
    good, patient = path.read_bytes(), b"\x10\x00\x20\x00"  # (0010,0020) and what it holds, LO
    unknown = good.replace(patient + b"LO", patient + b"ZZ")
    for damaged in (b"", b"\x00" * 200, b"\xff" * 200, good[:150], unknown):
        path.write_bytes(damaged)
        assert read_patient_id(path) == ""
        assert read(folder)[0][0].patient_id == "siim:study s"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([0, 0, 0, 0], "its study has 0 classes, not one"),
        ([0, 1, 1, 0], "its study has 2 classes, not one"),
        (["", "x", "-1", "True"], "its study has 0 classes, not one"),
    ],
)
def test_a_study_of_not_exactly_one_class_is_left_out(tmp_path, row, reason):
    studies = {"s": row, "t": one_hot(TYPICAL)}
    folder = make(tmp_path / "siim", studies, [("a", "s", "p"), ("b", "t", "q")])
    (record,), (left_out,) = read(folder)
    assert (record.row, left_out.row, left_out.reason) == (2, 1, reason)


def test_two_rows_of_a_study_that_disagree_are_two_classes(tmp_path):
    folder = make(tmp_path / "siim", {"s": one_hot(TYPICAL)}, [("a", "s", "p")])
    rows = [("s_study", *one_hot(TYPICAL)), ("s_study", *one_hot(NEGATIVE))]
    write_csv(folder / "train_study_level.csv", STUDIES_HEADER, rows)
    _, (left_out,) = read(folder)
    assert left_out.reason == "its study has 2 classes, not one"
    assert left_out.finding == "Negative for Pneumonia, Typical Appearance"


def test_an_image_whose_study_or_file_is_missing_is_left_out_and_a_second_row_too(tmp_path):
    folder = make(tmp_path / "siim", {"s": one_hot(TYPICAL)}, [("a", "s", "p")])
    rows = [("a_image", "s"), ("b_image", "s"), ("c_image", "t"), ("a_image", "s"), ("a", "")]
    write_csv(folder / "train_image_level.csv", ("id", "StudyInstanceUID"), rows)
    (record,), dropped = read(folder)
    assert record.row == 1
    assert [(item.row, item.reason) for item in dropped] == [
        (2, "no file train/s/*/b.dcm"),
        (3, "study 't' is not in train_study_level.csv"),
        (4, "the same file as row 1"),
        (5, "study '' is not in train_study_level.csv"),
    ]


def test_an_image_of_another_study_is_not_taken(tmp_path):
    studies = {"s": one_hot(TYPICAL), "t": one_hot(NEGATIVE)}
    folder = make(tmp_path / "siim", studies, [("a", "s", "p")])
    rows = [("a_image", "t")]  # and a.dcm lies in train/s
    write_csv(folder / "train_image_level.csv", ("id", "StudyInstanceUID"), rows)
    records, (left_out,) = read(folder)
    assert not records
    assert left_out.reason == "no file train/t/*/a.dcm"


def test_studies_without_an_image_are_said(tmp_path, caplog):
    studies = {"s": one_hot(TYPICAL), "t": one_hot(NEGATIVE)}
    folder = make(tmp_path / "siim", studies, [("a", "s", "p")])
    with caplog.at_level(logging.WARNING):
        read(folder)
    assert "has no image for 1 of 2 studies of" in caplog.text


# The drawn source.


def test_the_same_seed_draws_the_same_bytes(sample, tmp_path):
    drawn.write(tmp_path, 1337, dict.fromkeys(siim.LABELS, 3), 64)
    assert content(tmp_path) == content(sample)


def test_the_drawn_source_has_the_traps(sample):
    records, dropped = read(sample)
    headers = [dcmread(record.path) for record in records]
    assert {header.BitsAllocated for header in headers} == {16}
    assert len({header.BitsStored for header in headers}) > 2
    kinds = {header.PhotometricInterpretation for header in headers}
    assert kinds == {"MONOCHROME1", "MONOCHROME2"}
    assert len({header.file_meta.TransferSyntaxUID for header in headers}) == 3
    studies = [record.path.parts[-3] for record in records]
    assert max(map(studies.count, studies)) == 9
    assert any(record.patient_id.startswith("siim:study ") for record in records)
    pairs = {(record.patient_id, study) for record, study in zip(records, studies, strict=True)}
    assert len(pairs) == len({patient for patient, _ in pairs}) + 1
    assert len({item.reason.split("'")[0].split("/")[0] for item in dropped}) == 4


def test_every_drawn_image_is_a_radiograph_with_bright_bones(sample):
    records, _ = read(sample)
    for record in records:
        pixels = np.asarray(read_radiograph(record.path))
        assert pixels.shape == (64, 64)
        lungs, spine = pixels[24:36, 14:24].mean(), pixels[24:36, 30:34].mean()
        assert spine > lungs

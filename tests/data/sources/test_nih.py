import json

import pytest

from data.sources import nih, rsna
from data.sources.nih import label_of
from tests.helpers.public_sources import NIH, facts, write

NO_LABEL = "finding '%s' is neither normal nor pneumonia"
EXPECTED = [
    ("normal", "rsna:00000007", "PA", "M", "82"),
    ("pneumonia", "rsna:00000007", "AP", "M", ""),  # 414 years
    ("pneumonia", "rsna:00000009", "AP", "F", "0"),
    NO_LABEL % "Pneumothorax|Pleural_Thickening",
    NO_LABEL % "Consolidation",
    ("normal", "rsna:00000010", "PA", "F", "53"),
    "no file 00000011_000.png in images*/",
]


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, "nih")


def test_every_row_becomes_what_it_says(folder):
    assert facts(*nih.read(folder)) == EXPECTED


def test_a_record_says_where_it_comes_from(folder):
    place = "images_002/images/00000010_001.png"
    assert nih.read(folder)[0][-1] == nih.Record(
        "nih", 6, folder / place, "normal", "rsna:00000010", "No Finding", place, view="PA",
        sex="F", age="53", frontal=True, hospital="NIH Clinical Center, Bethesda", country="USA",
        licence="NIH: no restrictions, attribution asked",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("finding", "label"),
    [
        ("No Finding", "normal"),
        ("Pneumonia", "pneumonia"),
        ("Infiltration|Pneumonia", "pneumonia"),
        ("Atelectasis|Pneumonia|Nodule", "pneumonia"),
        *((finding, None) for finding in ("Pneumothorax", "Infiltration", "Consolidation|Edema")),
        ("", None),
    ],
)
def test_label_of_a_finding(finding, label):
    assert label_of(finding) == label


def test_the_table_of_2020_goes_before_that_of_2017_and_names_the_sex_otherwise(folder):
    table = NIH.replace("Gender", "Sex").replace("414", "57").replace("[x,y],", "[x,y]")
    (folder / "Data_Entry_2017_v2020.csv").write_text(table)
    assert facts(*nih.read(folder)) == [
        ("pneumonia", "rsna:00000007", "AP", "M", "57") if row == EXPECTED[1] else row
        for row in EXPECTED
    ]


@pytest.mark.parametrize("place", ["images", "."])
def test_all_images_may_lie_in_one_folder(folder, place):
    (folder / place).mkdir(exist_ok=True)
    for path in sorted(folder.glob("images_0*/images/*.png")):
        path.rename(folder / place / path.name)
    records, dropped = nih.read(folder)
    assert facts(records, dropped) == EXPECTED
    assert {record.path.parent for record in records} == {folder / place}


def test_a_patient_has_one_id_here_and_in_rsna(folder, tmp_path):
    path = tmp_path / rsna.MAPPING
    path.write_text(json.dumps([{"subset_img_id": "a", "img_id": "00000007_001.png"}]))
    known = rsna.nih_patients(path)
    assert f"{rsna.NAME}:{known['a']}" == nih.read(folder)[0][0].patient_id

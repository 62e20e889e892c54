import logging

import pytest

from data.sources import radiography_database as database
from tests.helpers.public_sources import facts, write

EXPECTED = [
    ("COVID-19", "radiography-database:COVID-1", "", "", ""),
    ("COVID-19", "radiography-database:COVID-1893", "", "", ""),
    ("COVID-19", "radiography-database:COVID-1894", "", "", ""),
    ("COVID-19", "radiography-database:COVID-3616", "", "", ""),
    ("normal", "radiography-database:Normal-1", "", "", ""),
    ("normal", "radiography-database:Normal-1403", "", "", "1-5"),
    ("normal", "radiography-database:Normal-1404", "", "", ""),
    ("normal", "radiography-database:Normal-62", "", "", ""),
    ("normal", "radiography-database:Normal-63", "", "", "1-5"),
    ("pneumonia", "radiography-database:Lung_Opacity-1", "", "", ""),
    "'Lung_Opacity-copy.png' is not Lung_Opacity-<number>.png",
    ("pneumonia", "radiography-database:Viral Pneumonia-1", "", "", "1-5"),
    ("pneumonia", "radiography-database:Viral Pneumonia-1345", "", "", "1-5"),
]


def test_every_image_becomes_what_it_says_and_masks_and_tables_are_no_rows(tmp_path):
    assert facts(*database.read(write(tmp_path, "radiography-database"))) == EXPECTED


@pytest.mark.parametrize(
    ("finding", "numbers", "source"),
    [
        ("COVID", (1, 1893), "mixed-radiography"),
        ("COVID", (1894, 3616), "valencia-radiography"),
        ("Normal", (1, 62, 1404, 10192), "rsna-radiography"),
        ("Normal", (63, 1403), "kermany-radiography"),
        ("Lung_Opacity", (1, 63, 6012), "rsna-radiography"),
        ("Viral Pneumonia", (1, 1345), "kermany-radiography"),
    ],
)
def test_class_and_number_tell_the_origin(finding, numbers, source):
    assert {database.origin(finding, number) for number in numbers} == {source}


def test_a_record_says_its_origin_with_hospital_and_country(tmp_path):
    records, _ = database.read(write(tmp_path, "radiography-database"))
    assert {(record.source, record.hospital, record.country) for record in records} == {
        ("mixed-radiography", "", ""),
        ("valencia-radiography", "BIMCV-COVID19+ (11 hospitals of the Valencia region)", "Spain"),
        ("rsna-radiography", "NIH Clinical Center, Bethesda", "USA"),
        ("kermany-radiography", "Guangzhou Women and Children's Medical Center", "China"),
    }
    assert all(record.frontal for record in records)


def test_warnings_say_that_patients_are_not_known_and_that_children_are_among_adults(
    tmp_path, caplog
):
    with caplog.at_level(logging.WARNING):
        database.read(write(tmp_path, "radiography-database"))
    patients, children = [entry.getMessage() for entry in caplog.records]
    assert "each of 12 images counts as a patient of its own" in patients
    assert children.startswith("radiography-database: 4 images of children of 1 to 5 years.")

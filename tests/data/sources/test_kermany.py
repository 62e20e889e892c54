import logging

from data.sources import kermany
from tests.helpers.public_sources import facts, write

EXPECTED = [
    ("normal", "kermany:IM-0115", "AP", "", "1-5"),
    ("normal", "kermany:IM-0115", "AP", "", "1-5"),
    ("normal", "kermany:IM-0381", "AP", "", "1-5"),
    ("pneumonia", "kermany:person1", "AP", "", "1-5"),
    ("pneumonia", "kermany:person2", "AP", "", "1-5"),
    "'scan.jpeg' does not name a patient",
    ("normal", "kermany:1049278", "AP", "", "1-5"),
    ("pneumonia", "kermany:1049278", "AP", "", "1-5"),
    ("pneumonia", "kermany:person1", "AP", "", "1-5"),
    ("normal", "kermany:IM-1427", "AP", "", "1-5"),
    ("pneumonia", "kermany:person1946", "AP", "", "1-5"),
]


def test_every_file_becomes_what_it_says(tmp_path):
    assert facts(*kermany.read(write(tmp_path, "kermany"))) == EXPECTED


def test_a_record_says_where_it_comes_from(tmp_path):
    record = kermany.read(write(tmp_path, "kermany"))[0][3]
    place = "train/PNEUMONIA/person1_bacteria_1.jpeg"
    assert record == kermany.Record(
        "kermany", 4, tmp_path / place, "pneumonia", "kermany:person1", "PNEUMONIA", place,
        view="AP", age="1-5", frontal=True, country="China", licence="CC BY 4.0",
        hospital="Guangzhou Women and Children's Medical Center",
    )  # fmt: skip


def test_val_may_be_missing(tmp_path):
    folder = write(tmp_path, "kermany")
    (folder / "val").rename(folder / "elsewhere")
    assert facts(*kermany.read(folder)) == EXPECTED[:-2]


def test_a_number_in_train_and_in_test_is_one_patient_whom_no_split_binds(tmp_path):
    records, _ = kermany.read(write(tmp_path, "kermany"))
    folders = {r.original.split("/")[0] for r in records if r.patient_id == "kermany:person1"}
    assert folders == {"train", "test"}
    assert not any(record.splits for record in records)


def test_a_warning_says_that_they_are_children(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        kermany.read(write(tmp_path, "kermany"))
    (message,) = [entry.getMessage() for entry in caplog.records]
    assert message.startswith("kermany: 10 images of children of 1 to 5 years. Among adults, a ")

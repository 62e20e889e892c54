from pathlib import Path

from data.record import Dropped, Record
from data.sources.tables import each_file_once, visible_files


def record(row, file, patient="s:1", label="normal"):
    return Record("s", row, Path(file), label, patient, label, file)


def reasons(dropped):
    return {item.row: item.reason for item in dropped}


def test_a_file_of_two_rows_is_used_once_and_dropped_rows_stay_dropped():
    items = [record(1, "a"), Dropped("s", 2, "b", "", "no file"), record(3, "a"), record(4, "c")]
    records, dropped = each_file_once(items)
    assert [item.row for item in records] == [1, 4]
    assert reasons(dropped) == {2: "no file", 3: "the same file as row 1"}


def test_a_file_whose_rows_disagree_on_its_label_is_not_used():
    records, dropped = each_file_once(
        [record(1, "a"), record(2, "a", label="COVID-19"), record(3, "b")]
    )
    assert [item.row for item in records] == [3]
    assert reasons(dropped) == dict.fromkeys([1, 2], "rows disagree on this file's label")


def test_patients_who_share_a_file_are_one_patient():
    records, _ = each_file_once(
        [record(1, "a", "s:1"), record(2, "b", "s:2"), record(3, "a", "s:2"), record(4, "c", "s:3")]
    )
    assert [item.patient_id for item in records] == ["s:1", "s:1", "s:3"]


def test_hidden_files_and_folders_are_no_files_of_a_source(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("b.png", "a.png", ".DS_Store", "._a.png"):
        (tmp_path / name).write_bytes(b"")
    assert visible_files(tmp_path) == [tmp_path / "a.png", tmp_path / "b.png"]

"""A user's own table. Columns of ROWS: filename, label, patient_id, then what else is known."""

import logging

import pytest

from data import sources
from data.record import Record
from data.sources import table


def make(folder, text, *files):
    for name in files or ("a.png", "b.png", "c.png", "deep/d.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    path = folder / "films.csv"
    path.write_text(text)
    return path


def test_a_row_tells_what_is_known_of_a_film(tmp_path):
    header = "filename,label,patient_id,source,hospital,country,view,sex,age,split,licence"
    row = 'deep/d.png,covid_19,7,brescia,"Civili, Brescia",Italy,ap supine,w,063Y,Test,CC BY'
    (record,), dropped = table.read(make(tmp_path, f"{header}\n{row}\n"))
    assert record == Record(
        "brescia", 1, tmp_path / "deep/d.png", "COVID-19", patient_id="brescia:7",
        finding="covid_19", original="deep/d.png", view="AP Supine", sex="", age="63",
        frontal=True, splits=("test",), hospital="Civili, Brescia", country="Italy",
        licence="CC BY",
    )  # fmt: skip
    assert dropped == []


def test_without_a_source_the_name_of_the_table_is_the_source(tmp_path):
    (record,), _ = table.read(make(tmp_path, "filename,label,patient_id\na.png,normal,7\n"))
    assert (record.source, record.patient_id, record.splits) == ("films", "films:7", ())


@pytest.mark.parametrize(
    ("patients", "expected"),
    [
        ("1 2 3", "s:1 s:2 s:3"),
        ("rsna:00001315 rsna:00001315 x", "rsna:00001315 rsna:00001315 s:x"),
        ("5 5.0 0005", "s:5 s:5 s:5"),
        ("- - 3", "s:file a.png|s:file b.png|s:3"),
    ],
)
def test_patients_are_of_the_source_unless_they_name_another(tmp_path, patients, expected):
    rows = [
        f"{name}.png,normal,{patient.strip('-')},s"
        for name, patient in zip("abc", patients.split(), strict=True)
    ]
    text = "\n".join(["filename,label,patient_id,source", *rows])
    records, _ = table.read(make(tmp_path, text))
    wanted = expected.split("|") if "|" in expected else expected.split()
    assert [record.patient_id for record in records] == wanted


def test_several_sources_may_be_in_one_table(tmp_path):
    text = "filename,label,patient_id,source\na.png,normal,1,x\nb.png,normal,1,y\nc.png,normal,1,\n"
    records, _ = table.read(make(tmp_path, text))
    assert [record.source for record in records] == ["x", "y", "films"]
    assert [record.patient_id for record in records] == ["x:1", "y:1", "films:1"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("gone.png,normal,1,", "no file {folder}/gone.png"),
        (",normal,1,", "no file name"),
        ("../out.png,normal,1,", "file name '../out.png' leads out of {folder}/"),
        ("deep/../../out.png,normal,1,", "file name 'deep/../../out.png' leads out of {folder}/"),
        ("/etc/passwd,normal,1,", "file name '/etc/passwd' leads out of {folder}/"),
        (r"C:\out.png,normal,1,", r"file name 'C:\out.png' leads out of {folder}/"),
        (r"..\out.png,normal,1,", r"file name '..\out.png' leads out of {folder}/"),
        ("b.png,,1,", "no label"),
        ("b.png,normal,1,dev", "'dev' is not a split"),
        ("a.png,normal,1,", "the same file as row 1"),
    ],
)
def test_a_row_that_gives_no_film_is_left_out_with_its_reason(tmp_path, row, reason):
    (tmp_path / "out.png").write_bytes(b"")
    folder = tmp_path / "films"
    text = f"filename,label,patient_id,split\na.png,normal,1,\n{row}\n"
    (kept,), (left_out,) = table.read(make(folder, text))
    assert kept.original == "a.png"
    assert left_out.reason == reason.format(folder=folder.name)
    assert (left_out.source, left_out.row) == ("films", 2)


def test_rows_that_disagree_on_a_file_are_all_left_out(tmp_path):
    text = "filename,label,patient_id\na.png,normal,1\na.png,pneumonia,1\nb.png,normal,2\n"
    (kept,), dropped = table.read(make(tmp_path, text))
    assert kept.original == "b.png"
    assert [item.reason for item in dropped] == ["rows disagree on this file's label"] * 2


def test_a_path_may_be_written_as_on_windows(tmp_path):
    (record,), _ = table.read(make(tmp_path, "filename,label,patient_id\ndeep\\d.png,normal,1\n"))
    assert record.path == tmp_path / "deep/d.png"


def test_its_own_split_is_kept_and_train_gives_to_val_where_there_is_none(tmp_path):
    text = "filename,label,patient_id,split\na.png,normal,1,train\nb.png,normal,2,TEST\n"
    records, _ = table.read(make(tmp_path, text + "c.png,normal,3,\n"))
    assert [record.splits for record in records] == [("train", "val"), ("test",), ()]


def test_columns_that_are_not_read_are_named(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    text = "filename,label,patient_id,note,label basis\na.png,normal,1,x,y\n"
    table.read(make(tmp_path, text))
    assert "columns that are not read: note, label_basis" in caplog.text


def test_films_without_a_patient_are_warned_of(tmp_path, caplog):
    table.read(make(tmp_path, "filename,label,patient_id\na.png,normal,\nb.png,normal,\n"))
    assert "2 rows without a patient_id; one patient may be in two splits" in caplog.text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("file,class\na.png,normal\n", "expected also filename, label, patient_id"),
        ("filename,label,patient_id\n", "none of 0 rows gives an image"),
        ("filename,label,patient_id\nx.png,normal,1\n", "1 of 1 rows that should give an image"),
    ],
)
def test_another_table_is_refused_in_one_line(tmp_path, text, error):
    path = make(tmp_path, text)
    with pytest.raises(ValueError, match=error) as caught:
        sources.read("table", path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")


def test_a_folder_or_no_file_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "gone.csv"):
        with pytest.raises(FileNotFoundError, match="not a file; expected a CSV of your own films"):
            table.read(place)

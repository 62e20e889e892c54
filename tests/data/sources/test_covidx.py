import json

import pytest

from data.sample import covidx as drawn
from data.sources import covidx
from data.sources.covidx import parse
from data.sources.rsna import MAPPING


def make(folder, **files):
    """COVIDx of label files (name without .txt -> lines) with all the images that they name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
        images = folder / name.split("_")[0]
        images.mkdir(exist_ok=True)
        for line in filter(None, map(parse, text.splitlines())):
            (images / line.file).write_bytes(b"")
    return folder


def read(folder):
    """What the source gives; each line of the label files comes back exactly once."""
    records, dropped = covidx.read(folder)
    numbers = sorted(item.row for item in (*records, *dropped))
    lines = [line for p in folder.glob("*.txt") for line in p.read_text().splitlines()]
    assert numbers == list(range(1, len(list(filter(str.strip, lines))) + 1))
    return records, dropped


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("3 a.jpeg viral", ("3", "a.jpeg", "viral", "")),
        ("3 a.jpeg pneumonia", ("3", "a.jpeg", "pneumonia", "")),
        ("8 a.jpeg pneumonia cohen", ("8", "a.jpeg", "pneumonia", "cohen")),
        ("COVID 1 COVID(1).png COVID-19 sirm", ("COVID 1", "COVID(1).png", "COVID-19", "sirm")),
        ("COVID 1 COVID(1).png COVID-19", ("COVID 1", "COVID(1).png", "COVID-19", "")),
        ("id id.png normal rnsa", ("id", "id.png", "normal", "rsna")),
        ("ANON5 CR.1.2.png negative actmed", ("ANON5", "CR.1.2.png", "negative", "actmed")),
        ("  7\ta.png   positive  bimcv \r", ("7", "a.png", "positive", "bimcv")),
        ("3 a.png Covid19 cohen", ("3", "a.png", "Covid19", "cohen")),
        ("3 a.png no_finding", ("3", "a.png", "no_finding", "")),
        ("positive normal normal positive", ("positive normal", "normal", "positive", "")),
        *dict.fromkeys([
            "a.png normal", "a.png normal cohen", "7 a.png tuberculosis", "7", "normal", " ",
            "7 a.png tuberculosis cohen", "patient_id filename class source",
        ]).items(),
    ],
)  # fmt: skip
def test_a_line_is_read_from_the_right(line, expected):
    assert parse(line) == expected


# Version -> split, label and patient of each row, in order.
RSNA, MIDRC = "47c78742-4998-4878-aec4-37b11b1354ac", "419639-001464"
EXPECTED = {
    "v1": [
        "train pneumonia 3", "train pneumonia 29", "train COVID-19 4", "train normal 10000927",
        "test normal 10000001",
    ],
    "v2": ["train pneumonia 3", f"train normal {RSNA}", "test COVID-19 4"],
    "v5": [
        "train pneumonia 8", "train COVID-19 4", f"train normal {RSNA}",
        "train COVID-19 COVID-19(1)", "test pneumonia bd8facb9-dce0-4048-8249-e6078b28e1b7",
        "test pneumonia 8", "test COVID-19 36", "test COVID-19 COVID-00025",
    ],
    "v6": ["train normal ANON191", "train COVID-19 4", "test COVID-19 ANON191"],
    "v7A": [
        "train COVID-19 COVID 1", "train COVID-19 COVID 2", "train pneumonia 3",
        f"train normal {RSNA}", f"test COVID-19 {MIDRC}",
    ],
    "v9B": [
        "train negative 5", "train negative ANON191", "train positive COVID 1",
        f"test positive {MIDRC}",
    ],
    "CXR-3": [
        f"train negative {RSNA}", "train positive sub-S03044", f"test positive {MIDRC}",
    ],
    "CXR-4": [f"train negative {RSNA}", "val positive A000801", f"test positive {MIDRC}"],
}  # fmt: skip


@pytest.mark.parametrize("version", drawn.VERSIONS)
def test_every_version_of_the_label_files_is_read(tmp_path, version):
    drawn.write(tmp_path, 1337, version, 32)
    records, dropped = read(tmp_path)
    found = [f"{r.original.split('/')[0]} {r.label} {r.patient_id[7:]}" for r in records]
    assert found == EXPECTED[version]
    assert all(r.patient_id.startswith("covidx:") for r in records)
    assert [item.reason for item in dropped] == ["the same file as row 4"] * (version == "v1")


def test_a_record_says_where_it_comes_from(tmp_path):
    folder = make(tmp_path / "covidx", train="1 a.png normal", test="COVID 1 b.png COVID-19 rnsa")
    assert read(folder)[0][1] == covidx.Record(
        "covidx-rsna", 2, folder / "test/b.png", "COVID-19", patient_id="covidx:COVID 1",
        finding="COVID-19", original="test/b.png", frontal=True, splits=("test",),
    )  # fmt: skip


def test_rows_are_counted_on_from_train_to_val_to_test(tmp_path):
    train = "1 a.png normal\n\n  \n2 b.png normal\nnothing\n"
    files = {"test": "5 a.png normal", "train": train, "val": "4 a.png normal\r\n"}
    records, (left_out,) = read(make(tmp_path / "covidx", **files))
    rows = {record.row: record.original for record in records}
    assert rows == {1: "train/a.png", 2: "train/b.png", 4: "val/a.png", 5: "test/a.png"}
    assert (left_out.row, left_out.original) == (3, "train.txt")
    assert left_out.reason == "'nothing' is not: patient, file, class"


@pytest.mark.parametrize(
    "splits",
    [
        {"train": ("train", "val"), "test": ("test",)}, {"train": ("train", "val")},
        {"train": ("train",), "val": ("val",), "test": ("test",)}, {"test": ("test",)},
    ],
)  # fmt: skip
def test_a_row_stays_in_its_own_split_and_train_gives_to_val_if_there_is_none(tmp_path, splits):
    files = {name: f"{name} {name}.png normal" for name in splits}
    records, _ = read(make(tmp_path / "covidx", **files))
    assert [record.splits for record in records] == list(splits.values())


def test_a_patient_in_train_and_test_keeps_one_id_with_a_source_and_without(tmp_path):
    folder = make(tmp_path / "covidx", train="8 a.png pneumonia cohen", test="8 b.png pneumonia")
    records, _ = read(folder)
    assert {record.patient_id for record in records} == {"covidx:8"}
    assert [record.splits for record in records] == [("train", "val"), ("test",)]


def test_the_same_name_in_train_and_test_is_two_files_of_two_patients(tmp_path):
    folder = make(tmp_path / "covidx", train="1 a.png normal", test="2 a.png COVID-19")
    records, dropped = read(folder)
    assert [record.patient_id for record in records] == ["covidx:1", "covidx:2"]
    assert not dropped


def test_ids_that_share_a_file_are_one_patient(tmp_path):
    lines = "284 a.jpg normal\n339 a.jpg normal\n339 b.jpg normal\n7 c.jpg normal"
    records, _ = read(make(tmp_path / "covidx", train=lines))
    assert [r.patient_id for r in records] == ["covidx:284", "covidx:284", "covidx:7"]


def test_a_line_without_a_patient_joins_nobody_and_spoils_no_other_line(tmp_path):
    lines = "a.jpg normal\n7 a.jpg pneumonia\nb.jpg normal\n8 b.jpg normal"
    records, dropped = read(make(tmp_path / "covidx", train=lines))
    assert [r.patient_id for r in records] == ["covidx:7", "covidx:8"]
    assert [item.row for item in dropped] == [1, 3]


def test_a_file_with_two_classes_is_not_used(tmp_path):
    lines = "1 a.png normal\n1 a.png COVID-19\n2 b.png viral\n2 b.png bacteria"
    records, dropped = read(make(tmp_path / "covidx", train=lines))
    assert [(record.row, record.label) for record in records] == [(3, "pneumonia")]
    reasons = ["rows disagree on this file's class"] * 2 + ["the same file as row 3"]
    assert [item.reason for item in dropped] == reasons


def test_a_line_without_its_file_is_left_out(tmp_path):
    folder = make(tmp_path / "covidx", train="1 a.png normal\n2 b.png normal")
    (folder / "train" / "a.png").unlink()
    _, (left_out,) = read(folder)
    assert (left_out.row, left_out.reason) == (1, "no file train/a.png")


@pytest.mark.parametrize(
    "names",
    [
        ("train_COVIDx8A", "train_COVIDx8B"),
        ("train_COVIDx8A", "test_COVIDx8B"),
        ("train_split_v1", "test_split_v3"),
        ("train", "test_COVIDx9A"),
        ("train_split", "test_split", "train_split_v3"),
    ],
)
def test_two_versions_in_one_folder_are_refused_by_their_names(tmp_path, names):
    folder = make(tmp_path / "covidx", **dict.fromkeys(names, "1 a.png normal"))
    found = ", ".join(sorted(f"{name}.txt" for name in names))
    with pytest.raises(ValueError, match="one version") as caught:
        covidx.read(folder)
    assert str(caught.value) == (
        f"{folder}: found {found}; expected the label files of one version. Move the others away"
    )


def test_other_text_files_are_no_label_files(tmp_path):
    folder = make(tmp_path / "covidx", train="1 a.png normal")
    (folder / "train_notes.txt").write_text("x")
    (folder / "README.txt").write_text("x")
    records, dropped = covidx.read(folder)
    assert (len(records), len(dropped)) == (1, 0)


def test_a_folder_that_is_something_else_is_named_by_its_contents(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"found holiday\.jpg; expected label files such"):
        covidx.read(tmp_path)
    (tmp_path / "train.txt").write_text("1 a.png normal")
    with pytest.raises(FileNotFoundError, match=r"found .*; expected train\. Give the folder of"):
        covidx.read(tmp_path)


@pytest.mark.parametrize("source", ["x/y", "../x", "a\x00b", "s" * 300, "..", "-"])
def test_a_source_that_cannot_be_one_is_a_dropped_row(tmp_path, source):
    folder = make(tmp_path / "covidx", train=f"1 a.png normal {source}\n2 b.png normal cohen")
    records, dropped = read(folder)
    assert [record.source for record in records] == ["covidx-cohen"]
    assert dropped[0].source == "covidx"
    assert dropped[0].reason == f"'{source}' is no source's name"


def test_the_rsna_part_is_grouped_by_nih_patient_where_the_mapping_is_there(tmp_path, caplog):
    folder = make(
        tmp_path / "covidx", train="u1 u1.png normal rsna\nu2 u2.png normal rsna\n1 c.png normal"
    )
    assert [r.patient_id for r in read(folder)[0]] == ["covidx:u1", "covidx:u2", "covidx:1"]
    assert "2 lines of its RSNA part without the patient" in caplog.text
    caplog.clear()
    rows = [{"subset_img_id": f"u{k}", "img_id": f"00000007_00{k}.png"} for k in (1, 2)]
    (folder / MAPPING).write_text(json.dumps(rows))
    found = [record.patient_id for record in read(folder)[0]]
    assert found == ["covidx:00000007", "covidx:00000007", "covidx:1"]
    assert not caplog.text


@pytest.mark.parametrize(
    ("finding", "label"),
    [("Covid_19", "COVID-19"), ("SARS-CoV-2", "COVID-19"), ("No_Finding", "normal")],
)
def test_other_spellings_of_a_class_are_known(tmp_path, finding, label):
    (record,), _ = read(make(tmp_path / "set", train=f"1 a.png {finding}"))
    assert (record.label, record.finding) == (label, finding)


def test_ids_of_one_number_are_one_patient(tmp_path):
    folder = make(
        tmp_path / "set", train="0012 a.png normal", test="12 b.png normal\n13 c.png viral"
    )
    records, _ = read(folder)
    patients = [record.patient_id for record in records]
    assert patients == ["covidx:0012", "covidx:0012", "covidx:13"]

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.dataset_folder import (
    COLUMNS,
    PICTURES,
    _escaped,
    add_pictures,
    preparation,
    read_about,
    read_split,
    staging,
    write_tables,
)
from data.images.picture_statistics import STATISTICS, picture_statistics
from data.images.preparation import Preparation
from data.prepare import prepare
from data.record import Dropped, Record
from tests.helpers import systems

PAIRS = [("normal", "train"), ("COVID-19", "train"), ("normal", "val"), ("COVID-19", "test")]


def test_the_folder_appears_when_the_block_ends_well(tmp_path):
    with staging(tmp_path / "set") as folder:
        (folder / "a").write_text("a")
        assert folder == tmp_path / "set.partial"
        assert not (tmp_path / "set").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["a"]


def test_two_runs_do_not_write_one_folder(tmp_path):
    with staging(tmp_path / "set") as mine:
        (mine / "images").mkdir()
        with pytest.raises(FileExistsError, match="another process is writing it"):  # noqa: SIM117
            with staging(tmp_path / "set"):
                pass
        assert (mine / "images").exists()
    assert (tmp_path / "set" / "images").exists()
    (tmp_path / "other.partial").mkdir()  # of a killed run, which holds nothing any more
    with staging(tmp_path / "other"):
        pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path, error):
    def fail():
        with staging(tmp_path / "set") as folder:
            (folder / "a").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_exists_is_not_overwritten(tmp_path, kind):
    path = tmp_path / "set"
    if kind == "folder":
        path.mkdir()
    mine = path / "mine" if kind == "folder" else path
    mine.write_text("mine")
    with pytest.raises(FileExistsError) as caught, staging(path):
        pass
    assert str(caught.value) == (
        f"{path}: exists and is not empty; remove it or choose another folder"
    )
    assert mine.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "set").mkdir()
    with staging(tmp_path / "set") as folder:
        (folder / "a").write_text("a")
    assert (tmp_path / "set" / "a").exists()


def test_a_partial_folder_of_someone_else_is_not_touched(tmp_path):
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial" / "mine").write_text("mine")
    with pytest.raises(FileExistsError) as caught, staging(tmp_path / "set"):
        pass
    assert str(caught.value) == (
        f"{tmp_path / 'set.partial'}: found mine in it; expected the remains of a dataset, or no"
        " such folder. Move it"
    )
    assert (tmp_path / "set.partial" / "mine").read_text() == "mine"


def test_a_split_is_read_as_it_was_written(make_dataset):
    folder = make_dataset(*PAIRS)
    table = read_split(folder, "train")
    assert list(table.columns) == COLUMNS
    assert list(table["label"]) == ["normal", "COVID-19"]
    assert list(table["filename"]) == ["source-00001.png", "source-00002.png"]
    assert list(table["view"]) == ["", ""]  # text, and not NaN
    assert [len(read_split(folder, split)) for split in ("val", "test")] == [1, 1]
    assert read_about(folder)["labels"] == ["COVID-19", "normal"]


def test_the_numbers_of_each_picture_come_back_with_its_row(make_dataset):
    folder = make_dataset(*PAIRS)
    table = read_split(folder, "train")[::-1]
    found = add_pictures(folder, table)
    assert list(found["filename"]) == list(table["filename"])
    assert set(found["width"]) == set(found["height"]) == {16}
    for _, row in found.iterrows():
        wanted = picture_statistics(np.asarray(Image.open(folder / "train" / row["filename"])))
        np.testing.assert_allclose(row[[*STATISTICS]].astype(float), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text(""),
        lambda path: path.write_text("filename,width\na.png,1\n"),
        lambda path: path.write_text(path.read_text().partition("\n")[0]),
        lambda path: path.write_text(path.read_text().replace("16,16", "16,wide")),
        lambda path: path.write_text(path.read_text() + path.read_text().partition("\n")[2]),
    ],
)
def test_a_folder_without_the_numbers_of_its_pictures_says_so_and_is_used(
    make_dataset, damage, caplog
):
    folder = make_dataset(*PAIRS)
    damage(folder / PICTURES)
    table = read_split(folder, "train")
    pd.testing.assert_frame_equal(add_pictures(folder, table), table)
    assert f"{folder / PICTURES}: missing, or not a number for each image" in caplog.text


def test_text_of_the_sources_survives_the_table(tmp_path):
    text = {"patient_id": "source:007", "finding": 'Zürich, "NA"\nnull', "original": "images/NA"}
    odd = Record("source", 1, tmp_path / "raw.png", "normal", **text)
    (row,) = read_split(write(tmp_path, [odd], ["train"]), "train").to_dict("records")
    assert {name: row[name] for name in text} == text


def scan(row):
    """The pixels of a record's image: not blank, and no other record's."""
    return np.arange(256, dtype=np.uint8).reshape(16, 16) // 2 + np.uint8(row)


def write(tmp_path, records, splits, name="set", dropped=(), workers=0):
    """A dataset folder of these records; the fingerprint is in its dataset.json."""
    for record in records:
        if not record.path.exists():
            Image.fromarray(scan(record.row)).save(record.path)
    folder = tmp_path / name
    (folder / "images").mkdir(parents=True)
    kept = list(prepare(records, folder / "images", Preparation(16), workers))
    fingerprint = write_tables(folder, folder / "images", kept, splits, dropped)
    about = {"arguments": {}, "labels": [], "fingerprint": fingerprint}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def test_names_that_no_csv_can_hold_are_escaped(tmp_path):
    odd = {"a\rb.png": "a\\rb.png", "caf\udce9.png": "caf\\udce9.png"}
    for name, shown in odd.items():
        row = _escaped({"original": name, "row": 1})
        assert row == {"original": shown, "row": 1}
        pd.DataFrame([row, row]).to_csv(tmp_path / "a.csv", index=False, lineterminator="\n")
        assert list(pd.read_csv(tmp_path / "a.csv")["original"]) == [shown] * 2


@systems.posix
def test_a_link_and_the_own_folder_can_be_the_place(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    monkeypatch.setattr(os.path, "ismount", lambda path: path.name == "mount")
    with staging((tmp_path / "link").resolve()) as folder:
        (folder / "a").touch()
    assert (tmp_path / "link" / "a").exists()
    with pytest.raises(FileExistsError, match="a mount point cannot be replaced"):  # noqa: SIM117
        with staging(tmp_path / "mount"):
            pass


def test_dropped_rows_stand_in_the_order_of_the_sources(tmp_path):
    rows = [("b", 2), ("a", 10), ("a", 9), ("b", 1)]
    dropped = [Dropped(source, row, "images/x", "", "no file") for source, row in rows]
    folder = write(tmp_path, [], [], dropped=dropped)
    table = pd.read_csv(folder / "dropped.csv", keep_default_na=False)
    assert list(table.columns) == ["source", "row", "original", "finding", "reason"]
    assert list(zip(table["source"], table["row"], strict=True)) == sorted(rows)


def test_the_fingerprint_is_of_labels_and_pixels_and_not_of_places_or_workers(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    records = [
        Record("source", k, tmp_path / f"{k}.png", "normal", f"source:{k}", "No Finding", "x")
        for k in (1, 2, 3)
    ]
    splits = ["train", "val", "test"]
    moved = [replace(r, path=tmp_path / "elsewhere" / r.path.name) for r in records]
    relabelled = [*records[:2], replace(records[2], label="pneumonia")]
    repainted = [records[0], replace(records[1], path=tmp_path / "other.png"), records[2]]
    pixels = scan(records[1].row)
    pixels[7, 7] += 1
    Image.fromarray(pixels).save(tmp_path / "other.png")
    cases = {
        "plain": (records, splits, 0),
        "two workers": (records, splits, 2),
        "moved": (moved, splits, 0),
        "another label": (relabelled, splits, 0),
        "another pixel": (repainted, splits, 0),
        "another split": (records, ["train", "test", "val"], 0),
    }
    prints = {
        name: read_about(write(tmp_path, mine, sides, name, workers=workers))["fingerprint"]
        for name, (mine, sides, workers) in cases.items()
    }
    assert prints["plain"] == prints["two workers"] == prints["moved"]
    assert len({prints[name] for name in prints if name not in ("two workers", "moved")}) == 4
    assert len(prints["plain"]) == 64


def edited(name, text):
    def damage(folder):
        (folder / name).write_text(text)

    return damage


def binary_table(folder):
    (folder / TABLE).write_bytes(b"\xff\xfe\x00filename\n")


def ragged_table(folder):
    with (folder / TABLE).open("a") as file:
        file.write("a," * 20 + "\n")


def no_columns(folder):
    pd.read_csv(folder / TABLE).drop(columns=["label", "age"]).to_csv(folder / TABLE, index=False)


TABLE, ABOUT = "train_metadata.csv", "dataset.json"
OTHER = "/dataset.json: not written by generate_dataset.py"
MISSING = f"of 2 images of {TABLE} are missing, the first is source"
DAMAGES = {
    # what is wrong: (how it comes about, how the message begins after the folder)
    "unfinished": (
        lambda folder: (folder / ABOUT).unlink(),
        ": no dataset.json, so it is not a finished dataset folder; give one that",
    ),
    "no JSON": (edited(ABOUT, '{"labels":\n'), "/dataset.json: not JSON"),
    "other JSON": (edited(ABOUT, '{"title": "another program\'s"}'), OTHER),
    "a list": (edited(ABOUT, "[1, 2]"), OTHER),
    "no table": (
        lambda folder: (folder / TABLE).unlink(), f": no {TABLE}; run generate_dataset.py again",
    ),
    "empty table": (edited(TABLE, ""), f"/{TABLE}: "),
    "ragged table": (ragged_table, f"/{TABLE}: "),
    "binary table": (binary_table, f"/{TABLE}: "),
    "no columns": (
        no_columns,
        f"/{TABLE}: no column label, age; expected filename, label, patient_id, source, view, sex,"
        " age, finding, original",
    ),
    "no image": (
        lambda folder: (folder / "train/source-00002.png").unlink(),
        f"/train: 1 {MISSING}-00002.png; run generate_dataset.py again",
    ),
    "no images": (
        lambda folder: shutil.rmtree(folder / "train"),
        f"/train: 2 {MISSING}-00001.png; run generate_dataset.py again",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_reported_in_one_line(make_dataset, damage, message):
    folder = make_dataset(*PAIRS)
    damage(folder)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read_split(folder, "train")
    (line,) = str(caught.value).splitlines()
    path, _, rest = message.partition(":")
    assert line.startswith(f"{folder}{path.replace('/', os.sep)}:{rest}")


def test_a_folder_that_is_not_there_is_reported_with_the_command_that_makes_it(tmp_path):
    path = tmp_path / "set"
    with pytest.raises(FileNotFoundError) as caught:
        read_split(path, "train")
    assert str(caught.value) == (
        f"{path}: no such folder; make it with generate_dataset.py {path}, or give --dataset if it"
        " is elsewhere"
    )


def test_a_zip_in_its_place_is_to_be_unzipped(tmp_path):
    (tmp_path / "set.zip").touch()
    with pytest.raises(FileNotFoundError, match=r"set\.zip: found an archive; .* Unzip it$"):
        read_split(tmp_path / "set.zip", "train")


@pytest.mark.parametrize(
    "saved",
    [
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: b"sep=;\n" + text.replace(",", ";").encode("latin-1"),
    ],
    ids=["semicolons", "tabs, UTF-16", "sep=, Latin-1"],
)
def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path, saved):
    odd = Record("source", 1, tmp_path / "raw.png", "normal", "source:007", "Zürich, NA", "a.png")
    folder = write(tmp_path, [odd, replace(odd, row=2, finding="é")], ["train"] * 2)
    wanted = read_split(folder, "train")
    text = (folder / TABLE).read_text(encoding="utf-8").replace("Zürich, ", "Zürich ")
    (folder / TABLE).write_bytes(saved(text.replace('"', "")))
    table = read_split(folder, "train")
    assert list(table["finding"]) == ["Zürich NA", "é"]
    pd.testing.assert_frame_equal(table.drop(columns="finding"), wanted.drop(columns="finding"))


def test_a_full_disk_names_the_table(tmp_path, small_files):
    rows = [Dropped("source", k, "images/x", "", "no file " * 20) for k in range(200)]
    with pytest.raises(OSError, match=r"File too large: '.*/dropped\.csv'$"):
        write(tmp_path, [], [], dropped=rows)


def test_what_a_killed_run_left_half_written_is_cleared(tmp_path):
    for name in ("set.partial", "set.partial.old"):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / ".audit.0a1b2c3d.png").touch()
        (tmp_path / name / ".dataset.0a1b2c3d.json").touch()
    with staging(tmp_path / "set") as folder:
        assert not list(folder.iterdir())
        (folder / "dropped.csv").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_dataset_of_an_earlier_version_says_what_it_lacks():
    with pytest.raises(ValueError, match=r"dataset.json: no fit; make the dataset again"):
        preparation({"arguments": {"size": 256}})

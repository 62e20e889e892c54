"""generate_dataset.py from flags to folder, on small sample sources."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import generate_dataset
from data.sources.tables import read_rows

ROOT = Path(__file__).parent.parent


def tables(folder):
    read = {split: pd.read_csv(folder / f"{split}_metadata.csv", dtype=str) for split in SPLITS}
    return read, pd.read_csv(folder / "dropped.csv", dtype=str)


SPLITS = ("train", "val", "test")


def content(folder):
    """Every file below the folder, with its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_every_raw_row_is_kept_or_dropped_with_a_reason(sources, dataset):
    splits, dropped = tables(dataset)
    kept = pd.concat(splits.values())
    assert dropped["reason"].str.len().min() > 3
    raw = {
        "covid-chestxray": sources[0] / "metadata.csv",
        "rsna": sources[1] / "stage_2_detailed_class_info.csv",
    }
    for name, table in raw.items():
        left_out = dropped[dropped["source"] == name]
        used = kept[kept["source"] == name]
        assert len(used) + len(left_out) == len(read_rows(table, []))
        assert left_out["row"].is_unique
        rows = used["filename"].str.extract(r"-(\d+)\.png$")[0].astype(int)
        assert sorted([*rows, *left_out["row"].astype(int)]) == list(
            range(1, len(rows) + len(left_out) + 1)
        )


def test_no_patient_is_in_two_splits_and_every_split_has_every_class(dataset):
    splits, _ = tables(dataset)
    patients = [set(table["patient_id"]) for table in splits.values()]
    assert not (patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2])
    for table in splits.values():
        assert set(table["label"]) == {"normal", "pneumonia", "COVID-19"}


def test_images_are_8_bit_grayscale_of_the_size_and_one_per_row(dataset):
    splits, _ = tables(dataset)
    for split, table in splits.items():
        assert {path.name for path in (dataset / split).iterdir()} == set(table["filename"])
        for name in table["filename"]:
            with Image.open(dataset / split / name) as image:
                assert (image.mode, image.size, image.format) == ("L", (64, 64), "PNG")


def test_the_same_arguments_give_the_same_bytes_whatever_the_workers(
    sources, script, dataset, tmp_path
):
    flags = ("--covid-chestxray", sources[0], "--rsna", sources[1], "--size", 64)
    script(generate_dataset, tmp_path / "again", *flags, "--workers", 1)
    assert content(tmp_path / "again") == content(dataset)


def test_another_seed_gives_another_split(sources, script, dataset, tmp_path):
    flags = ("--covid-chestxray", sources[0], "--rsna", sources[1], "--size", 64)
    script(generate_dataset, tmp_path / "other", *flags, "--seed", 1, "--workers", 1)
    assert content(tmp_path / "other")["val_metadata.csv"] != content(dataset)["val_metadata.csv"]


def test_what_is_printed_and_written_says_what_the_source_alone_would_score(
    sources, script, tmp_path
):
    flags = ("--covid-chestxray", sources[0], "--rsna", sources[1], "--size", 64)
    printed = script(generate_dataset, tmp_path / "set", *flags, "--workers", 1)
    about = json.loads((tmp_path / "set/dataset.json").read_text())
    splits, _ = tables(tmp_path / "set")
    guess = splits["train"].groupby("source")["label"].agg(lambda x: x.value_counts().idxmax())
    hits = splits["test"]["label"] == splits["test"]["source"].map(guess)
    assert about["source_alone"]["test"]["value"] == pytest.approx(hits.mean())
    assert f"{hits.mean():.2f}" in printed
    assert "covid-chestxray" in printed


def test_views_choose_the_projections(sources, script, tmp_path):
    flags = ("--covid-chestxray", sources[0], "--size", 64, "--views", "pa", "--workers", 1)
    script(generate_dataset, tmp_path / "pa", *flags)
    splits, dropped = tables(tmp_path / "pa")
    assert set(pd.concat(splits.values())["view"]) == {"PA"}
    assert dropped["reason"].str.contains("view AP, not one of PA").any()


def test_sample_draws_sources_beside_the_dataset_and_reads_them(script, tmp_path, monkeypatch):
    from data import sample

    few = sample.write_sample
    monkeypatch.setattr(sample, "write_sample", lambda folder, seed, **_: few(folder, seed, 24, 64))
    script(generate_dataset, tmp_path / "set", "--sample", "--size", 64, "--workers", 1)
    assert (tmp_path / "set-raw/covid-chestxray-dataset/metadata.csv").exists()
    assert json.loads((tmp_path / "set/dataset.json").read_text())["arguments"]["sample"] is True


def test_sample_does_not_touch_a_raw_folder_that_it_did_not_draw(script, tmp_path):
    (tmp_path / "set-raw").mkdir()
    (tmp_path / "set-raw/metadata.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and was not drawn by --sample"):
        script(generate_dataset, tmp_path / "set", "--sample")
    assert content(tmp_path) == {"set-raw/metadata.csv": b"mine"}


def test_the_same_pixels_under_two_patient_ids_stay_on_one_side(sources, script, tmp_path):
    raw = tmp_path / "covid"
    shutil.copytree(sources[0], raw)
    with (raw / "metadata.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    places = {name: k for k, name in enumerate(header)}
    good = [row for row in rows if row[places["filename"]].startswith("phantom-")]
    copies = []
    for k, row in enumerate(good):  # every image once more, as another patient's
        name = row[places["filename"]]
        shutil.copy(raw / "images" / name, raw / "images" / f"copy-{name}")
        copy = list(row)
        copy[places["filename"]], copy[places["patientid"]] = f"copy-{name}", f"9{k:05d}"
        copies.append(copy)
    with (raw / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows, *copies])
    script(generate_dataset, tmp_path / "set", "--covid-chestxray", raw, "--size", 64)
    splits, _ = tables(tmp_path / "set")
    kept = pd.concat([table.assign(split=split) for split, table in splits.items()])
    kept["image"] = kept["original"].str.replace("copy-", "")
    pairs = kept[kept["image"].str.contains("phantom-")].groupby("image")
    assert pairs.size().eq(2).all()
    assert pairs["split"].nunique().max() == 1
    assert pairs["patient_id"].nunique().max() == 1


def test_a_killed_run_leaves_no_finished_folder_and_the_same_command_completes_it(
    sources, tmp_path, dataset
):
    folder = tmp_path / "set"
    command = [
        sys.executable, "generate_dataset.py", folder, "--covid-chestxray", sources[0],
        "--rsna", sources[1], "--size", "64", "--workers", "1",
    ]  # fmt: skip
    killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    partial = tmp_path / "set.partial"
    while not list(partial.glob("images/*.png")) and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not folder.exists()
    assert partial.exists()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert not partial.exists()
    assert content(folder) == content(dataset)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no source given; expected --sample or one or more of --covid-chestxray, --rsna"),
        (["--sample", "--rsna", "x"], "--sample makes its own sources; give it alone"),
        (["--sample", "--size", "5"], "--size: found 5; expected 16 to 4096"),
        (
            ["--sample", "--test-size", "1"],
            "nothing is left to train on",
        ),
        (["--sample", "--test-size", "0.5", "--val-size", "0.5"], "nothing is left to train on"),
    ],
)
def test_a_wrong_argument_is_status_2_and_one_line(script, tmp_path, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        script(generate_dataset, tmp_path / "set", *words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_another_source_says_what_it_is_and_leaves_nothing(
    sources, script, tmp_path
):
    with pytest.raises(FileNotFoundError, match=r"found images, .*; expected stage_2_detailed_cl"):
        script(generate_dataset, tmp_path / "set", "--rsna", sources[0])
    with pytest.raises(FileNotFoundError, match="no such folder; expected the download of"):
        script(generate_dataset, tmp_path / "set", "--covid-chestxray", tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_not_overwritten(sources, script, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/thesis.txt").write_text("x")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        script(generate_dataset, tmp_path / "set", "--rsna", sources[1])
    assert content(tmp_path) == {"set/thesis.txt": b"x"}

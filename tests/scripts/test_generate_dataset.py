"""generate_dataset.py from flags to folder, on small sample sources."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import generate_dataset
from benchmarks.measure import source_flags
from data.dataset_folder import preparation, read_about, read_table
from data.images.preparation import Preparation
from data.images.radiograph import read_radiograph
from data.prepare import prepare
from data.sample import covid_chestxray, covidx, siim, write_sample
from data.sources import SOURCES
from data.sources.siim import LABELS as SIIM_LABELS
from data.sources.tables import read_rows
from tests.conftest import content
from tests.helpers import public_sources
from tests.helpers.paths import ROOT


def tables(folder):
    read = {split: pd.read_csv(folder / f"{split}_metadata.csv", dtype=str) for split in SPLITS}
    return read, pd.read_csv(folder / "dropped.csv", dtype=str)


SPLITS = ("train", "val", "test")


@pytest.fixture
def in_one_process(monkeypatch):
    """The script reads images itself: to start processes takes longer than the few images here."""
    monkeypatch.setattr(generate_dataset, "prepare", lambda *what: prepare(*what[:-1], workers=0))


@pytest.fixture
def script(in_one_process, script):
    return script


@pytest.fixture
def both(sources):
    """The flags of the shared dataset."""
    return ("--covid-chestxray", sources[0], "--rsna", sources[1], "--size", 64)


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
    both, script, dataset, tmp_path
):
    script(generate_dataset, tmp_path / "again", *both)
    of_two = {name: data for name, data in content(dataset).items() if "decoded" not in name}
    assert content(tmp_path / "again") == of_two  # which two processes read


def test_another_seed_gives_another_split(both, script, dataset, tmp_path):
    script(generate_dataset, tmp_path / "other", *both, "--seed", 1)
    assert content(tmp_path / "other")["val_metadata.csv"] != content(dataset)["val_metadata.csv"]


def test_what_is_printed_and_written_says_what_cheats_score(both, script, tmp_path):
    printed = script(generate_dataset, tmp_path / "set", *both)
    about = json.loads((tmp_path / "set/dataset.json").read_text())
    splits, _ = tables(tmp_path / "set")
    assert "covid-chestxray" in printed
    for column in ("source", "view"):
        guess = splits["train"].groupby(column)["label"].agg(lambda x: x.value_counts().idxmax())
        hits = splits["test"]["label"] == splits["test"][column].map(guess)
        score = about["alone"][column]["test"]
        assert score["value"] == pytest.approx(hits.mean())
        assert score["low"] < score["value"] < score["high"]
        assert f"test {hits.mean():.2f} ({score['low']:.2f} - {score['high']:.2f})" in printed
    in_pictures = about["source_in_pictures"]["test"]
    for score in (about["alone"]["picture statistics"]["test"], in_pictures["accuracy"]):
        assert "test {value:.2f} ({low:.2f} - {high:.2f})".format(**score) in printed


def test_size_auto_is_the_size_at_which_no_source_is_blurred(both, script, tmp_path, caplog):
    printed = script(generate_dataset, tmp_path / "fixed", *both)
    about = json.loads((tmp_path / "fixed/dataset.json").read_text())
    factors = {"covid-chestxray": 64 / 48, "rsna": 1}
    assert about["upscaling"] == {"factors": factors, "common_size": 32}
    assert "covid-chestxray 1.33 times. At --size 32 no source" in printed
    caplog.set_level("INFO")
    printed = script(generate_dataset, tmp_path / "auto", *both[:-1], "auto")
    about = read_about(tmp_path / "auto")
    assert preparation(about).size == about["arguments"]["size"] == 32
    assert "caled up" not in printed
    assert "--size auto: 32 pixels" in caplog.text


def test_views_choose_the_projections(sources, script, tmp_path):
    flags = ("--covid-chestxray", sources[0], "--size", 64, "--views", "pa")
    script(generate_dataset, tmp_path / "pa", *flags)
    splits, dropped = tables(tmp_path / "pa")
    assert set(pd.concat(splits.values())["view"]) == {"PA"}
    assert dropped["reason"].str.contains("view AP, not one of PA").any()


def test_sample_draws_sources_beside_the_dataset_and_reads_them(script, tmp_path, monkeypatch):
    monkeypatch.setattr(
        generate_dataset, "write_sample", lambda folder, seed: write_sample(folder, seed, 24, 64)
    )
    script(generate_dataset, tmp_path / "set", "--sample", "--size", 64)
    assert (tmp_path / "set-raw/covid-chestxray-dataset/metadata.csv").exists()
    assert json.loads((tmp_path / "set/dataset.json").read_text())["arguments"]["sample"] is True


def test_sample_does_not_touch_a_raw_folder_that_it_did_not_draw(script, tmp_path):
    (tmp_path / "set-raw").mkdir()
    (tmp_path / "set-raw/metadata.csv").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and was not drawn by --sample"):
        script(generate_dataset, tmp_path / "set", "--sample")
    assert content(tmp_path) == {"set-raw/metadata.csv": b"mine"}


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """A covid-chestxray sample with each image once more under another patient's id.

    Every third copy is the same file, every third recompressed, every third cropped and halved.
    """
    raw = tmp_path_factory.mktemp("twice") / "covid"
    shares = {"COVID-19": 8, "pneumonia": 8, "normal": 8}
    covid_chestxray.write(raw, 1337, shares, 256)
    with (raw / "metadata.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    places = {name: k for k, name in enumerate(header)}
    good = [row for row in rows if row[places["filename"]].startswith("phantom-")]
    for k, row in enumerate(good):
        name = row[places["filename"]]
        image = read_radiograph(raw / "images" / name)
        copy = f"{('same', 'jpeg', 'crop')[k % 3]}-{name}"
        if k % 3 == 0:
            shutil.copy(raw / "images" / name, raw / "images" / copy)
        elif k % 3 == 1:
            image.save(raw / "images" / copy, "JPEG", quality=60)
        else:
            w, h = image.size
            image = image.crop((w // 20, h // 20, w, h))
            image.resize((w // 2, h // 2)).save(raw / "images" / copy, "PNG")
        copied = list(row)
        copied[places["filename"]], copied[places["patientid"]] = copy, f"9{k:05d}"
        rows.append(copied)
    with (raw / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return raw


def test_exact_copies_are_kept_once_and_all_copies_stay_on_one_side(twice, script, tmp_path):
    printed = script(generate_dataset, tmp_path / "set", "--covid-chestxray", twice, "--size", 128)
    splits, dropped = tables(tmp_path / "set")
    kept = pd.concat([table.assign(split=split) for split, table in splits.items()])
    kept["image"] = kept["original"].str.replace(r"(same|jpeg|crop)-", "", regex=True)
    copies = kept[kept["original"].str.contains(r"/(?:same|jpeg|crop)-")]
    assert not copies["original"].str.contains("/same-").any()
    assert (dropped["reason"].str.contains("the same image as covid-chestxray row")).sum() > 3
    assert copies["original"].str.contains("/crop-").sum() > 3
    pairs = kept[kept["image"].isin(copies["image"])].groupby("image")
    assert pairs.size().eq(2).all()
    assert pairs["split"].nunique().max() == 1
    assert pairs["patient_id"].nunique().max() == 1
    groups = json.loads((tmp_path / "set/dataset.json").read_text())["duplicates"]
    assert {group["kind"] for group in groups} == {"exact", "near"}
    near = sum(group["kind"] == "near" for group in groups)
    assert f"{near} groups of near copies" in printed


@pytest.fixture
def films(sources, tmp_path):
    """A table of twelve of covid-chestxray's films, as of two hospitals and with their licences."""
    rows = pd.read_csv(sources[0] / "metadata.csv")
    rows = rows[rows["filename"].str.fullmatch(r"9\d\d-day\d+.*g")].drop_duplicates("patientid")
    folder = tmp_path / "films"
    shutil.copytree(sources[0] / "images", folder)
    table = pd.DataFrame({"filename": rows["filename"].str.strip()}).iloc[:12]
    table["label"] = ["normal", "pneumonia", "COVID-19"] * (len(table) // 3)
    table["patient_id"] = range(len(table))
    table["source"] = table["hospital"] = ["north", "south"] * (len(table) // 2)
    table["licence"] = ["CC BY 4.0"] * 8 + [""] * (len(table) - 8)
    table.to_csv(folder / "films.csv", index=False)
    return folder / "films.csv"


def test_the_films_of_a_table_bring_their_hospitals_and_licences(films, script, tmp_path):
    splits = ("--test-size", 0.25, "--val-size", 0.25)
    script(generate_dataset, tmp_path / "set", "--table", films, "--size", 64, *splits)
    splits, _ = tables(tmp_path / "set")
    rows = pd.concat(splits.values())
    assert list(rows.columns[-2:]) == ["hospital", "licence"]  # no country is known
    assert set(rows["hospital"]) == {"north", "south"}
    about = json.loads((tmp_path / "set/dataset.json").read_text())
    assert about["arguments"]["sources"] == {"table": [str(films)]}
    assert about["licences"]["CC BY 4.0"] == (rows["licence"] == "CC BY 4.0").sum() > 4
    assert {row["hospital"] for row in about["audit"]} == {"north", "south"}


def test_a_source_in_two_places_is_refused(films, script, tmp_path):
    second = films.with_name("more.csv")
    shutil.copy(films, second)
    with pytest.raises(ValueError, match="the source north is also in") as error:
        script(generate_dataset, tmp_path / "set", "--table", films, "--table", second)
    assert str(error.value).startswith(f"{second}: ")


def test_patients_of_an_earlier_dataset_stay_where_they_were(sources, script, dataset, tmp_path):
    flags = ("--covid-chestxray", sources[0], "--size", 64, "--seed", 5)
    script(generate_dataset, tmp_path / "old", *flags)
    script(
        generate_dataset, tmp_path / "new", *flags, "--rsna", sources[1], "--seed", 6,
        "--split-from", tmp_path / "old",
    )  # fmt: skip
    old, new, other = ({}, {}, {})
    for found, folder in ((old, tmp_path / "old"), (new, tmp_path / "new"), (other, dataset)):
        for split, table in tables(folder)[0].items():
            found |= {row["original"]: (split, row["source"]) for _, row in table.iterrows()}
    assert {name: new[name] for name in old} == old
    assert {name: other[name] for name in old} != old
    assert {split for split, source in new.values() if source == "rsna"} == set(SPLITS)


def test_a_known_patient_keeps_the_place_also_by_an_image_shared_with_a_new_one(script, tmp_path):
    grays = np.random.default_rng(0)

    def draw(name):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grays.integers(0, 256, (64, 64), np.uint8)).save(path)
        return path

    for k in range(30):
        draw(f"{('normal', 'pneumonia')[k % 2]}/p{k:02d}/old.png")
    flags = ("--folder", tmp_path / "raw", "--size", 64)
    script(generate_dataset, tmp_path / "old", *flags)
    for split in ("val", "test"):
        known = tmp_path / "raw" / tables(tmp_path / "old")[0][split]["original"][0]
        known.unlink()
        label = known.parent.parent.name
        stranger = draw(f"{label}/a-{split}/new.png")  # the first by name, and so the joined id
        shutil.copy(stranger, known.with_name("copy.png"))
    for k in range(10):  # who would fill the gaps as well
        draw(f"{('normal', 'pneumonia')[k % 2]}/n{k:02d}/new.png")
    script(generate_dataset, tmp_path / "new", *flags, "--split-from", tmp_path / "old")
    splits, _ = tables(tmp_path / "new")
    for split in ("val", "test"):
        assert splits[split]["original"].str.contains(f"/a-{split}/new.png").sum() == 1


def test_every_source_can_be_mixed_in_one_call(sources, films, script, tmp_path):
    siim.write(tmp_path / "siim", 1, dict.fromkeys(SIIM_LABELS, 8), 64)
    covidx.write(tmp_path / "covidx", 1, "CXR-4", 64)
    (tmp_path / "own/normal").mkdir(parents=True)
    shutil.copy(next((sources[0] / "images").glob("phantom-*.png")), tmp_path / "own/normal/a.png")
    for name in public_sources.IMAGES:
        public_sources.write(tmp_path / name, name, 64)
    drawn = {"covid-chestxray": sources[0], "rsna": sources[1], "folder": tmp_path / "own"}
    drawn["table"] = films
    flags = source_flags({name: drawn.get(name, tmp_path / name) for name in SOURCES})
    script(generate_dataset, tmp_path / "set", *flags, "--size", 64)
    splits, dropped = tables(tmp_path / "set")
    everything = pd.concat([*splits.values(), dropped])
    found = set(everything["source"])
    assert found >= {*SOURCES, "north", "south"} - {"covidx", "table"}  # which are only of parts
    kept = pd.concat(splits.values())
    assert {*public_sources.TABLES, "kermany", "kermany-radiography"} <= set(kept["source"])
    assert {*SIIM_LABELS, "normal", "positive", "negative"} <= set(kept["label"])
    covidx_tests = splits["test"]["original"][splits["test"]["source"].str.startswith("covidx")]
    assert len(covidx_tests)
    assert covidx_tests.str.startswith("test/").all()


def test_help_has_all_sources_in_one_group(script, capsys):
    with pytest.raises(SystemExit):
        script(generate_dataset, "-h")
    _, group = capsys.readouterr().out.split("\nsources, any mix of them:\n")
    assert re.findall(r"^  --(\S+)", group, re.MULTILINE) == [*SOURCES]


def test_how_the_images_were_made_is_written_down(sources, script, tmp_path):
    flags = ("--rsna", sources[1], "--size", 48, "--fit", "pad", "--equalize")
    script(generate_dataset, tmp_path / "set", *flags)
    about = read_about(tmp_path / "set")
    assert preparation(about) == Preparation(48, "pad", equalize=True)
    table = read_table(tmp_path / "set", "train")
    with Image.open(tmp_path / "set/train" / table["filename"][0]) as image:
        raw = read_radiograph(sources[1] / table["original"][0])
        assert np.array_equal(image, preparation(about)(raw))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no source given; expected --sample or one or more of --covid-chestxray, --rsna"),
        (
            ["--sample", "--rsna", "x"],
            "--sample makes its own sources; give no source flag with it",
        ),
        (["--sample", "--size", "5"], "--size: found 5; expected 16 to 4096"),
        (["--sample", "--test-size", "1"], "nothing is left to train on"),
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


def test_who_makes_a_dataset_does_not_wait_for_torch(sources, tmp_path):
    words = ["generate_dataset.py", str(tmp_path / "a"), "--covid-chestxray", str(sources[0])]
    code = (
        "import runpy, sys\n"
        f"sys.argv = {[*words, '--size', '64', '--workers', '1']}\n"
        "runpy.run_path('generate_dataset.py', run_name='__main__')\n"
        "assert 'matplotlib' in sys.modules and 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_worker_imports_the_script_without_what_only_the_main_process_needs():
    code = (
        "import runpy, sys\n"
        "runpy.run_path('generate_dataset.py', run_name='__mp_main__')\n"
        "assert not {'pandas', 'scipy', 'matplotlib', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

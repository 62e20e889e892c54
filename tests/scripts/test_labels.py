"""Labels: doubted by the folds of a run, decided by a reviewer, flipped on purpose."""

import csv
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import evaluate
import generate_dataset
from benchmarks import __main__ as benchmarks
from data.dataset_folder import read_about, read_split
from data.prepare import prepare
from model.predictor import Predictor
from model.under_test import label_sheet
from tests.conftest import content, run_script
from tests.helpers.networks import CLASSES
from util.script import NOTICE
from util.training.out_of_fold import read_out_of_fold

SPLITS = ("train", "val", "test")


def read_rows(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


# ---- evaluate.py --suspects ----


def test_the_sheet_has_the_most_doubted_films_each_under_the_map_of_its_own_fold(
    fit, script, dataset, tmp_path, monkeypatch
):
    blind = shutil.copytree(dataset, tmp_path / "blind")
    shutil.rmtree(blind / "test")
    (blind / "test_metadata.csv").unlink()  # which is not read
    run = fit("r", "--folds", 2, "--epochs", 1, "--dataset", blind)
    drawn = []
    monkeypatch.setattr(label_sheet, "film_picture", lambda *film: drawn.append(film) or picture())
    printed = script(evaluate, run, "--suspects", 6, "--device", "cpu")
    rows = read_rows(run / "suspects/suspects.csv")
    assert NOTICE in printed
    assert printed.splitlines()[1].split()[0] == rows[0]["patient_id"]
    assert (run / "suspects/report.html").read_text().count("data:image/png") == len(rows) == 6

    table = read_out_of_fold(run / "out_of_fold.csv").set_index("filename")
    p = table[[f"p({name})" for name in CLASSES]]
    others = p.idxmax(axis=1).str[2:-1] != table["truth"]
    assert others.sum() > 6  # or all of them would be in the sheet
    for row, (pixels, heat) in zip(rows, drawn, strict=True):
        known = table.loc[row["filename"]]
        assert (row["original"], row["label"]) == (known["original"], known["truth"])
        assert row["predicted"] == p.loc[row["filename"]].idxmax()[2:-1] != row["label"]
        path = next(blind.glob(f"*/{row['filename']}"))
        assert np.array_equal(pixels, Image.open(path))
        maps = {}
        for fold in (1, 2):
            predictor = Predictor.load(run / f"fold-{fold}", "cpu")
            seen = torch.from_numpy(predictor.form.read(path)[None].copy())
            maps[fold] = predictor.examine([seen]).heat[0]
        np.testing.assert_allclose(heat, maps[known["fold"]], rtol=1e-4, atol=1e-6)
        assert not np.allclose(heat, maps[3 - known["fold"]], rtol=1e-4, atol=1e-6)

    decided = run / "suspects/suspects.csv"
    write_rows(decided, [row | {"decision": "leave out"} for row in rows])
    with pytest.raises(FileExistsError, match=r"suspects.csv: found decisions in it, which would"):
        script(evaluate, run, "--suspects")
    script(evaluate, run, "--suspects", 1, "--out", tmp_path / "out")
    assert len(read_rows(tmp_path / "out/suspects.csv")) == 1
    about = read_about(blind) | {"fingerprint": "other"}
    (blind / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="blind: found another dataset than the one that"):
        script(evaluate, run, "--suspects", "--out", tmp_path)


def picture():
    file = io.BytesIO()
    Image.new("L", (8, 4)).save(file, "PNG")
    return file.getvalue()


def test_a_run_that_doubts_no_label_says_so(script, tmp_path, monkeypatch):
    columns = ["patient_id", "label", "predicted", "probability", "doubt"]
    none = pd.DataFrame(columns=columns), tmp_path / "report.html"
    monkeypatch.setattr(evaluate, "label_sheet", lambda *words: none)
    assert script(evaluate, tmp_path, "--suspects").startswith("The folds doubt no label.\n\nLabel")


def test_a_run_without_folds_has_no_suspects(script, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no out_of_fold.csv; expected the folder"):
        script(evaluate, tmp_path, "--suspects")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("r", "--suspects", "0"), "--suspects: found 0; expected 1 or more"),
        (("r", "s", "--suspects"), "--suspects: found two checkpoints; expected the folder of a"),
        (("r", "--suspects", "--split", "test"), "--suspects: found --split; expected the folder"),
        (("--predictions", "p.csv", "--suspects"), "--suspects: found --predictions; expected"),
        (("r", "--suspects", "--folder", "f"), "--suspects: found --folder; expected the folder"),
        (("r", "--suspects", "--coverage", "0.9"), "--suspects: found --coverage; expected the"),
    ],
)
def test_what_does_not_go_with_suspects_is_one_line(script, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        script(evaluate, *words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


# ---- generate_dataset.py --corrections ----


@pytest.fixture
def generate(sources, script, tmp_path, monkeypatch):
    """Makes the shared dataset again, with corrections: its folder, and what was printed.

    shifted: of a newer release, which has one row more above the others, so that numbers move.
    """
    monkeypatch.setattr(generate_dataset, "prepare", lambda *what: prepare(*what[:-1], workers=0))
    monkeypatch.setattr(generate_dataset, "plot_dataset", lambda *what: what[-1].touch())

    def generate(rows, shifted=False):
        covid = sources[0]
        if shifted:
            covid = shutil.copytree(covid, tmp_path / "newer release")
            table = pd.read_csv(covid / "metadata.csv", dtype=str)
            ct = table.iloc[:1].assign(modality="CT", filename="ct.png")
            pd.concat([ct, table]).to_csv(covid / "metadata.csv", index=False)
        write_rows(tmp_path / "decided.csv", rows)
        words = ("--covid-chestxray", covid, "--rsna", sources[1], "--size", 64)
        words += ("--corrections", tmp_path / "decided.csv")
        return tmp_path / "new", script(generate_dataset, tmp_path / "new", *words)

    return generate


def films(folder):
    """(source, original) -> row of the metadata, and split."""
    tables = {split: read_split(folder, split).to_dict("records") for split in SPLITS}
    return {
        (row["source"], row["original"]): row | {"split": split}
        for split, rows in tables.items()
        for row in rows
    }


def test_decisions_are_in_the_next_dataset_and_no_patient_moves(generate, dataset):
    before = films(dataset)
    one_label = [key for key, row in before.items() if row["label"] == "normal"]
    out, changed, confirmed = one_label[:4], one_label[4:10], one_label[10:12]
    decisions = dict.fromkeys(out, "leave out") | dict.fromkeys(changed, "pneumonia")
    decisions |= dict.fromkeys(confirmed, "normal")
    rows = [{"source": s, "original": o, "decision": decisions.get((s, o), "")} for s, o in before]
    folder, printed = generate(rows, shifted=True)

    after = films(folder)
    assert after.keys() == before.keys() - {*out}
    for key, row in after.items():
        label = "pneumonia" if key in changed else before[key]["label"]
        assert (row["label"], row["split"]) == (label, before[key]["split"])
    names = [after[key]["filename"] != before[key]["filename"] for key in after]
    assert any(names)  # a newer release: films are known by their source and file
    dropped = read_rows(folder / "dropped.csv")
    assert {row["original"] for row in dropped if row["reason"] == "left out by a reviewer"} == {
        original for _, original in out
    }
    about = read_about(folder)["corrections"]
    assert (about["changed"], about["left_out"], len(about["films"])) == (6, 4, 12)
    told = {(film["source"], film["original"]): film["decision"] for film in about["films"]}
    assert told == decisions
    assert "By reviewers: 6 labels changed, 4 films left out" in printed


def test_a_sheet_without_decisions_changes_nothing(generate, dataset):
    rows = [{"source": s, "original": o, "decision": ""} for s, o in films(dataset)]
    new = content(generate(rows)[0])
    old = {name: data for name, data in content(dataset).items() if "decoded" not in name}
    assert {name for name in old if new[name] != old[name]} == {"audit.png", "dataset.json"}
    about = json.loads(new["dataset.json"])
    assert about.pop("corrections") == {"changed": 0, "left_out": 0, "films": []}
    assert about == json.loads(old["dataset.json"])


def test_a_wrong_decision_is_said_before_an_image_is_read(generate, monkeypatch, tmp_path):
    monkeypatch.setattr(generate_dataset, "prepare_images", None)
    with pytest.raises(ValueError, match=r"decided.csv: row 1: found a.png of the source rsna"):
        generate([{"source": "rsna", "original": "a.png", "decision": "normal"}])
    assert [path.name for path in tmp_path.iterdir()] == ["decided.csv"]


# ---- python3 -m benchmarks labels ----


@pytest.fixture
def flip(capsys, dataset):
    def flip(*words):
        capsys.readouterr()
        run_script(benchmarks, "labels", "--dataset", dataset, *words)
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return flip


def test_a_share_of_each_label_of_train_and_val_is_flipped(flip, dataset):
    rows = flip("--share", 0.1)
    before = {key: row for key, row in films(dataset).items() if row["split"] != "test"}
    flipped = {(row["source"], row["original"]): row["decision"] for row in rows}
    assert len(flipped) == len(rows)
    assert flipped.keys() <= before.keys()
    of_label = pd.Series([before[key]["label"] for key in flipped]).value_counts()
    every = pd.Series([row["label"] for row in before.values()]).value_counts()
    assert of_label.to_dict() == {label: round(0.1 * n) for label, n in every.items()}
    assert all(to in CLASSES and to != before[key]["label"] for key, to in flipped.items())
    assert flip("--share", 0.1) == rows != flip("--share", 0.1, "--seed", 2)


def test_the_flipped_labels_that_a_run_doubts_most_are_counted(flip, dataset, tmp_path, capsys):
    was = {key: row["label"] for key, row in films(dataset).items()}
    table = pd.concat([read_split(dataset, split) for split in SPLITS[:2]], ignore_index=True)
    flips = {(row["source"], row["original"]): row["decision"] for row in flip()}
    keys = list(zip(table["source"], table["original"], strict=True))
    table["label"] = table["truth"] = [flips.get(key, was[key]) for key in keys]
    logits = np.eye(3)[[CLASSES.index(was[key]) for key in keys]]
    for key, doubt in zip(flips, (-2, -0.5), strict=False):  # less than ten right labels
        logits[keys.index(key)] = -doubt * np.eye(3)[CLASSES.index(flips[key])]
    logits[[k for k, key in enumerate(keys) if key not in flips][:10]] = 0
    for kind, values in (("logit", logits), ("p", np.exp(logits))):
        table[[f"{kind}({name})" for name in CLASSES]] = values
    table.assign(fold=1).to_csv(tmp_path / "out_of_fold.csv", index=False)

    flipped = shutil.copytree(dataset, tmp_path / "flipped")
    of_film = [
        {"source": s, "original": o, "label": was[s, o], "decision": to}
        for (s, o), to in flips.items()
    ]
    about = read_about(dataset) | {"corrections": {"films": of_film}}
    (flipped / "dataset.json").write_text(json.dumps(about))
    capsys.readouterr()
    words = ("labels", "--run", tmp_path, "--json", "--dataset")
    run_script(benchmarks, *words, flipped)
    first = json.loads(capsys.readouterr().out)[0]
    found = (len(flips) - 2) / len(flips)
    assert first["flipped labels"] == len(flips)
    assert first["all"].startswith(f"{found:.2f} (")
    with pytest.raises(ValueError, match=r"found no image of .* whose label was changed"):
        run_script(benchmarks, *words, dataset)


def test_flips_to_a_label_that_no_film_of_the_source_has_are_counted_apart(
    dataset, tmp_path, capsys
):
    """Source a has normal and pneumonia, b only COVID-19; one label of each is flipped, and only
    that of a is doubted."""
    was = ["normal", "pneumonia"] * 10 + ["COVID-19"] * 20
    labels = ["pneumonia", *was[1:-1], "normal"]
    sources, films = ["a"] * 20 + ["b"] * 20, [str(k) for k in range(40)]
    table = {"source": sources, "original": films, "label": labels, "truth": labels}
    table = pd.DataFrame(table | {"patient_id": films, "fold": 1})
    logits = np.eye(3)[[CLASSES.index(label) for label in (was[0], *labels[1:])]]
    for kind, values in (("logit", logits), ("p", np.exp(logits))):
        table[[f"{kind}({name})" for name in CLASSES]] = values
    table.to_csv(tmp_path / "out_of_fold.csv", index=False)
    of_film = [
        {"source": sources[k], "original": films[k], "label": was[k], "decision": labels[k]}
        for k in (0, 39)
    ]
    about = read_about(dataset) | {"corrections": {"films": of_film}}
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    run_script(benchmarks, "labels", "--json", "--dataset", tmp_path, "--run", tmp_path)
    for row in json.loads(capsys.readouterr().out):
        assert row["all"].startswith("0.50 (")
        assert row["to a label of its source"].startswith("1.00 (")
        assert row["to another"].startswith("0.00 (")

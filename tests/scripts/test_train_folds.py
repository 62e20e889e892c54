"""train.py --folds: a network for each part of the patients, which it never saw."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss

import evaluate
import train
from data.dataset_folder import read_about, read_split
from data.patients import join_copies
from data.subject import TOO_GOOD
from minimal_prediction import load, predict
from model.predictor import Predictor
from tests.helpers.networks import TinyNext, input_form, save_network
from tests.helpers.training import ask_to_stop, assert_same_weights, moments_of
from util.checkpoint import load_checkpoint
from util.metrics.probabilities import tempered
from util.metrics.scores import accuracy, confusion_matrix
from util.training.distillation import TEACHER
from util.training.out_of_fold import read_out_of_fold

MAPPING = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
FOLDS = ("--folds", 2, "--epochs", 1)


@pytest.fixture
def seen(monkeypatch):
    """The metadata of the training and validation images of each run, by its folder's name."""
    seen = {}
    load = train.load_splits

    def loading(*words):
        sets = load(*words)
        seen[len(seen) + 1] = pd.concat([images.table for images in sets])
        return sets

    monkeypatch.setattr(train, "load_splits", loading)
    return seen


def test_each_image_is_predicted_by_the_network_that_never_saw_its_patient(
    fit, seen, dataset, tmp_path
):
    blind = shutil.copytree(dataset, tmp_path / "blind")
    shutil.rmtree(blind / "test")
    (blind / "test_metadata.csv").unlink()  # which a training with folds does not read
    every = pd.concat([read_split(blind, split) for split in ("train", "val")])
    people = join_copies(every["patient_id"], read_about(blind)["duplicates"])
    person = dict(zip(every["filename"], people, strict=True))
    run = fit("r", *FOLDS, "--dataset", blind)
    table = read_out_of_fold(run / "out_of_fold.csv")
    assert sorted(table["filename"]) == sorted(every["filename"])
    assert set(table["fold"]) == {1, 2} == seen.keys()
    assert list(every) == list(table)[: len(every.columns)]
    for fold, rows in table.groupby("fold"):
        own = {person[name] for name in rows["filename"]}
        assert not own & {person[name] for name in seen[fold]["filename"]}
        assert len(rows) + len(seen[fold]) == len(every)
        predictor = Predictor.load(run / f"fold-{fold}", "cpu")
        splits = [next(p for p in blind.glob(f"*/{name}")) for name in rows["filename"]]
        pixels = torch.from_numpy(np.stack([predictor.form.read(path) for path in splits]))
        logits = predictor.examine([pixels]).logits
        temperature = predictor.checkpoint["temperature"]
        shown = [rows[[f"{kind}({name})" for name in MAPPING]] for kind in ("logit", "p")]
        np.testing.assert_allclose(shown[0], logits / temperature, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(shown[1], tempered(logits, temperature), rtol=1e-4, atol=1e-5)
        assert list(rows["truth"]) == list(rows["label"])

    scores = json.loads((run / "folds.json").read_text())
    assert next(iter(scores["pooled"])) == "within_source_auroc"
    p = table[[f"p({name})" for name in MAPPING]].to_numpy()
    hits = confusion_matrix(table["truth"].map(MAPPING), p.argmax(1), 3)
    assert scores["pooled"]["accuracy"]["value"] == pytest.approx(accuracy(hits))
    loss = log_loss(table["truth"].map(MAPPING), p)
    assert scores["pooled"]["log_loss"]["value"] == pytest.approx(loss)
    assert [fold["images"] for fold in scores["per_fold"]] == list(
        table["fold"].value_counts().sort_index()
    )
    said = (run / "report.md").read_text()
    assert "validation, which chooses the epoch, by its macro F1, and" in scores["how"]
    assert scores["how"] in said
    assert "not a medical device" in said


def test_a_run_that_was_killed_in_a_fold_goes_on_and_ends_with_the_same_weights(fit, monkeypatch):
    flags = ("--label-smoothing", 0.2, "--save-minutes", 0)
    with monkeypatch.context() as patch:
        moments = moments_of(patch)
        whole = fit("whole", *FOLDS, *flags)
    with monkeypatch.context() as patch:
        moments_of(patch, len(moments) // 3)
        with pytest.raises(KeyboardInterrupt):
            fit("broken", *FOLDS, *flags)
    broken = whole.with_name("broken")
    assert load_checkpoint(broken / "fold-1/last.pth")["step"]
    assert not (broken / "fold-2").exists()
    fit("broken", "--resume")  # the second fold begins with the settings of the first
    for fold in ("fold-1", "fold-2"):
        assert_same_weights(whole / fold, broken / fold)
    for name in ("out_of_fold.csv", "folds.json", "report.html"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_each_fold_starts_from_the_same_fold_of_another_run(fit):
    first = fit("first", *FOLDS)
    start = ("--weights", first, "--lr", 1e-12, "--warmup-epochs", 0)
    second = fit("second", *FOLDS, *start)
    for fold in ("fold-1", "fold-2"):
        one, other = (load_checkpoint(run / fold / "best.pth") for run in (first, second))
        head = "logits.module.weight"
        torch.testing.assert_close(one["state_dict"][head], other["state_dict"][head])
        assert other["config"]["weights"] == str(first)
        assert other["started_from"][0]["fold"] == one["config"]["fold"]
    with pytest.raises(ValueError, match=r"first: found 2 folds; expected 3, as this run has"):
        fit("third", "--folds", 3, "--epochs", 1, "--weights", first)
    (first / "folds.json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"first: no folds\.json in it; expected the folder"
    ):
        fit("fourth", *FOLDS, *start)


def test_a_network_keeps_what_its_teachers_learned_from_before(fit, tmp_path, monkeypatch, caplog):
    path, about = tmp_path / "start.pth", {"fingerprint": "x", "sources": {"far": 9}}
    save_network(path, TinyNext(3), input_form((32, 32)), **about)
    run = fit("r", *FOLDS, "--weights", path)
    caplog.clear()
    with monkeypatch.context() as patch:
        ask_to_stop(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            fit("s", "--epochs", 1, "--distil", run)
    assert f"{run}: learned from other data (far). Where patients of these are in" in caplog.text
    caplog.clear()
    student = load_checkpoint(fit("s", "--resume") / "best.pth")
    assert "learned from other data" not in caplog.text
    (taught_by,) = student["taught_by"]
    assert (taught_by["fingerprint"], taught_by["sources"]) == ("x", {"far": 9})
    assert student["started_from"] is None


def test_folds_that_are_trained_one_by_one_in_any_order_are_those_of_one_run(fit, make_dataset):
    whole = fit("whole", *FOLDS)
    fit("parts", "--fold", "2/2", "--epochs", 1)
    assert not (whole.with_name("parts") / "folds.json").exists()
    parts = fit("parts", "--fold", "1/2")  # with the settings of the other
    for name in ("out_of_fold.csv", "folds.json"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes(), name
    before = (parts / "folds.json").stat().st_mtime_ns
    fit("parts", "--resume")
    assert (parts / "folds.json").stat().st_mtime_ns == before
    assert load_checkpoint(parts / "fold-2/best.pth")["config"]["name"] == "parts/fold-2"

    other = make_dataset(("normal", "train"), ("pneumonia", "train"))
    shutil.rmtree(parts / "fold-2")  # which has not begun
    for flags, message in {
        ("--folds", 2): "fold-1: holds a run already; --resume goes on with it",
        ("--fold", "2/3"): "--folds: found 3, but .*parts has 2; give that number",
        ("--resume", "--lr", 0.5): "--lr: found 0.5, but the run has 0.01",
        (
            "--fold",
            "2/2",
            "--dataset",
            other,
        ): "small: not the dataset that parts/fold-. was",
    }.items():
        with pytest.raises((ValueError, FileExistsError), match=message):
            fit("parts", *flags)


def test_folds_are_evaluated_and_predict_as_one_and_teach(fit, script, dataset, monkeypatch):
    run = fit("r", *FOLDS)
    monkeypatch.setattr(evaluate, "draw_all", lambda *_: {})
    monkeypatch.setattr(evaluate, "gallery", lambda *_: [])
    warned = {}
    for split in ("test", "val"):
        printed = script(evaluate, run, "--n-threads", 0, "--split", split)
        out = run / f"evaluation-{split}"
        assert str(out / "report.html") in printed
        warned[split] = json.loads((out / "metrics.json").read_text())["warnings"]
    assert TOO_GOOD["train"] in warned["val"]
    assert TOO_GOOD["train"] not in warned["test"]
    assert "mean logits of 2 networks" in (run / "evaluation-test/report.md").read_text()
    rows = pd.read_csv(run / "evaluation-test/predictions.csv")
    files = [str(dataset / "test" / name) for name in rows["filename"][:5]]
    predicted = list(predict(load(run, "cpu"), files))
    for (_, row), of_file in zip(rows.iterrows(), predicted, strict=False):
        for name, p in of_file["probabilities"].items():
            assert row[f"p({name})"] == pytest.approx(p, abs=1e-5)
        assert of_file["checkpoint"].startswith("r@")

    opened, make_loaders = [], train.make_loaders

    def making(images, *words):
        opened.append(images)
        return make_loaders(images, *words)

    monkeypatch.setattr(train, "make_loaders", making)
    fit("s", "--epochs", 1, "--distil", run, "--label-smoothing", 0, "--loss-weights", "none")
    (images,) = opened
    table = read_out_of_fold(run / "out_of_fold.csv").set_index("filename")
    said = table.loc[images.table["filename"], [f"p({name})" for name in MAPPING]].to_numpy()
    wanted = TEACHER * said + (1 - TEACHER) * np.eye(3)[images.targets]
    np.testing.assert_allclose(images.learned, wanted, rtol=1e-5)


def test_a_teacher_that_is_not_there_is_said_before_the_images_are_decoded(fit, monkeypatch):
    monkeypatch.setattr(train, "load_splits", None)
    with pytest.raises(FileNotFoundError, match=r"nowhere: no folds\.json in it"):
        fit("s", "--distil", "nowhere")


def test_a_run_without_folds_gets_none(fit):
    whole = fit("a", "--epochs", 1)
    with pytest.raises(FileExistsError, match="a: holds a run without folds; --name begins"):
        fit("a", *FOLDS)
    with pytest.raises(ValueError, match="a: its training, of no fold, saw patients of"):
        fit("b", *FOLDS, "--weights", whole)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--folds", 1), "--folds: found 1; expected 2 or more"),
        (("--fold", "3/2"), "--fold: found 3/2; expected one of several, such as 2/5"),
        (("--folds", 2, "--fold", "1/2"), "--fold: found --folds, which trains all of them"),
        (("--folds", 2, "--distil", "r"), "--distil: its networks have learned from the patients"),
    ],
)
def test_settings_of_folds_that_make_no_sense_are_one_line(fit, capsys, flags, message):
    with pytest.raises(SystemExit):
        fit("a", *flags)
    assert message in capsys.readouterr().err

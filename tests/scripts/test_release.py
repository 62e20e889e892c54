"""release.py: the project's network and its card, which prediction and training then use."""

import json

import pytest
import torch

import evaluate
import release
from minimal_prediction import load, predict
from tests.conftest import run_script
from tests.helpers import networks
from tests.helpers.example_metrics import example
from tests.helpers.training import weights
from util import model_file
from util.checkpoint import load_checkpoint
from util.files import write_json

RECORD = {"Checkpoint": "best.onnx (no hash)", "Run": "b", "Input": "64 x 64 pixels"}
RECORD |= {"Images": "set, split test", "Program": "commit 0123abc"}
RECORD |= {"Command": "python3 evaluate.py b"}


@pytest.fixture
def evaluation(tmp_path):
    (tmp_path / "evaluation-test").mkdir()
    write_json(tmp_path / "evaluation-test" / "metrics.json", example() | {"record": RECORD})
    return tmp_path / "evaluation-test"


@pytest.fixture
def released(exports, dataset, evaluation, tmp_path, monkeypatch):
    """The folder in the place of pretrained/."""
    folder, words = tmp_path / "project", ("--dataset", dataset, "--evaluations", evaluation)
    run_script(release, exports / "int8/best.onnx", "--out", folder, *words)
    monkeypatch.setattr(model_file, "PRETRAINED", folder)
    return folder


def test_prediction_without_a_name_uses_it(released, exports, dataset):
    files = sorted((dataset / "test").glob("*.png"))[:3]
    predictor, same = load(), load(exports / "int8/best.onnx")
    assert predictor.name.startswith("covidnext50.onnx@")
    rows, wanted = (list(predict(each, files)) for each in (predictor, same))
    assert [row["probabilities"] for row in rows] == [row["probabilities"] for row in wanted]


def test_training_starts_from_it_by_its_name(released, exports, fit):
    run = fit("on", "--weights", "pretrained", "--epochs", 1, "--lr", 1e-9, "--warmup-epochs", 0)
    start = load_checkpoint(exports / "int8/best.pth")["state_dict"]
    for name, tensor in weights(run).items():
        if name.endswith(("weight", "bias")):
            torch.testing.assert_close(tensor, start[name], rtol=0, atol=0.01, msg=name)


def test_evaluation_takes_it_by_its_name(released, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "draw_all", lambda *_: {})
    monkeypatch.setattr(evaluate, "gallery", lambda *_: [])
    run_script(evaluate, "pretrained", "--dataset", dataset, "--out", tmp_path, "--n-threads", 0)
    record = json.loads((tmp_path / "metrics.json").read_text())["record"]
    assert record["Checkpoint"].startswith(str(released / "covidnext50.onnx"))


def test_its_card_counts_the_films_of_the_training(released, dataset):
    card = json.loads((released / "card.json").read_text())
    sections = {section["title"]: section for section in card["sections"]}
    about = json.loads((dataset / "dataset.json").read_text())
    for title in ("Films by class and source", "Films by source, hospital, country and licence"):
        films = sections[title]
        counts = [sum(map(int, column)) for column in [*zip(*films["rows"], strict=True)][-3:]]
        assert counts == list(about["images"].values())
        assert films["head"][-3:] == list(about["images"])
    assert f"{sections['set, split test, by another network']['rows'][0][1]} |" in (
        released / "README.md"
    ).read_text(encoding="utf-8")


def test_what_does_not_belong_together_is_refused_and_leaves_nothing(
    exports, dataset, evaluation, tmp_path, monkeypatch, make_dataset
):
    folder = tmp_path / "project"
    flags = ("--out", folder, "--evaluations", evaluation, "--dataset")
    other = make_dataset(("normal", "train"), ("pneumonia", "train"))
    with pytest.raises(ValueError, match=r"small: not the dataset that best\.onnx was trained on"):
        run_script(release, exports / "int8/best.onnx", *flags, other)
    with pytest.raises(ValueError, match=r"found best\.pth, 0 MiB; expected an ONNX file of at mo"):
        run_script(release, exports / "int8/best.pth", *flags, dataset)
    with monkeypatch.context() as patch:
        patch.setattr(release, "MOST_BYTES", 10)
        with pytest.raises(ValueError, match="expected an ONNX file of at most 0 MiB, as"):
            run_script(release, exports / "int8/best.onnx", *flags, dataset)
    older = json.loads((evaluation / "metrics.json").read_text())
    del older["prediction_sets"]
    for metrics in ({}, older):
        write_json(evaluation / "metrics.json", metrics)
        with pytest.raises(ValueError, match=r"metrics\.json: not there, or not of this ver"):
            run_script(release, exports / "int8/best.onnx", *flags, dataset)
    assert not folder.exists()


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    networks.use_network(monkeypatch)

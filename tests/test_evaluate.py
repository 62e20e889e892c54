"""evaluate.py: what it writes, that the numbers are right, that they are the model's."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score

import evaluate
import minimal_prediction
import model.weights
from data.dataset import RadiographDataset
from data.transforms import InputFormat
from tests.networks import TinyNext
from util.checkpoint import save_checkpoint

CLASSES = ["normal", "pneumonia", "COVID-19"]
MAPPING = {name: k for k, name in enumerate(CLASSES)}
FORM = {
    "size": (32, 48),
    "mean": (0.5,) * 3,
    "std": (0.25,) * 3,
    "prepared": {"size": 64, "fit": "squash", "equalize": False},
    "mode": "L",
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)


@pytest.fixture
def checkpoint(dataset, tmp_path):
    """A run's best.pth with random weights."""
    torch.manual_seed(3)
    network = TinyNext(3)
    form = InputFormat.of(FORM)
    images = RadiographDataset(dataset, "train", MAPPING, form)
    batch = form.normalise(torch.stack([images[k][0] for k in range(16)]))
    for _ in range(20):  # batch statistics as after training
        network(batch)
    head = network.logits.module
    with torch.no_grad():  # a head around the mean, so that not all images get one class
        head.bias.copy_(-head.weight @ network.eval().features(batch).mean(0))
    path = tmp_path / "run" / "best.pth"
    path.parent.mkdir()
    save_checkpoint(path, {
        "state_dict": network.state_dict(),
        "mapping": MAPPING, "input": FORM,
        "config": {"name": "run", "dataset": str(dataset)},
        "epoch": 2, "step": 8, "temperature": 0.2,
        "fingerprint": json.loads((dataset / "dataset.json").read_text())["fingerprint"],
    })  # fmt: skip
    return path


def test_it_writes_the_report_the_metrics_the_plots_and_a_row_per_image(
    script, checkpoint, dataset
):
    printed = script(evaluate, checkpoint, "--n-threads", 0)
    out = checkpoint.parent / "evaluation-test"
    names = {path.name for path in out.iterdir()}
    assert names == {
        "report.html", "metrics.json", "predictions.csv", "confusion_matrix.png", "roc.png",
    }  # fmt: skip
    assert str(out / "report.html") in printed
    assert "not a medical device" in printed
    report = (out / "report.html").read_text()
    fingerprint = json.loads((dataset / "dataset.json").read_text())["fingerprint"]
    for fact in (str(checkpoint), fingerprint, "medical device"):
        assert fact in report


def test_the_metrics_are_those_of_the_predictions_by_scikit_learn(script, checkpoint):
    script(evaluate, checkpoint, "--n-threads", 2, "--split", "val")
    out = checkpoint.parent / "evaluation-val"
    metrics = json.loads((out / "metrics.json").read_text())
    rows = pd.read_csv(out / "predictions.csv")
    truth, predicted = rows["truth"], rows["predicted"]
    chances = rows[[f"p({name})" for name in CLASSES]].to_numpy()
    assert list(predicted) == [CLASSES[k] for k in chances.argmax(1)]
    assert len(set(predicted)) > 1  # else agreement would say little
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
    wanted = {
        "accuracy": accuracy_score(truth, predicted),
        "macro_f1": f1_score(truth, predicted, average="macro"),
        "macro_auroc": np.mean([roc_auc_score(truth == n, rows[f"p({n})"]) for n in CLASSES]),
    }
    for name, value in wanted.items():
        assert metrics[name]["value"] == pytest.approx(value, abs=1e-6)
        assert metrics[name]["low"] <= value <= metrics[name]["high"]
    wanted = confusion_matrix(truth, predicted, labels=CLASSES).tolist()
    assert metrics["confusion_matrix"] == wanted


def test_a_label_that_the_mapping_leaves_out_shifts_no_row(script, checkpoint, dataset):
    content = torch.load(checkpoint, weights_only=True)
    mapping = {"pneumonia": 0, "COVID-19": 1, "normal": 2}
    weights = content["state_dict"]
    torch.save(content | {"mapping": mapping}, checkpoint)
    script(evaluate, checkpoint, "--n-threads", 0)
    whole = pd.read_csv(checkpoint.parent / "evaluation-test" / "predictions.csv")
    # The same network without the output of the label that is not used any more.
    head = {name: weights[name][:2] for name in weights if name.startswith("logits")}
    two = {"pneumonia": 0, "COVID-19": 1}
    torch.save(content | {"mapping": two, "state_dict": weights | head}, checkpoint)
    script(evaluate, checkpoint, "--n-threads", 0)
    part = pd.read_csv(checkpoint.parent / "evaluation-test" / "predictions.csv")
    kept = whole[whole["label"] != "normal"].reset_index(drop=True)
    assert 0 < len(part) < len(whole)
    assert list(part["filename"]) == list(kept["filename"])
    assert list(part["truth"]) == list(part["label"])
    sums = kept["p(pneumonia)"] + kept["p(COVID-19)"]
    np.testing.assert_allclose(part["p(pneumonia)"], kept["p(pneumonia)"] / sums, rtol=1e-3)


def test_the_source_alone_is_scored_beside_the_model(script, checkpoint, dataset):
    printed = script(evaluate, checkpoint, "--n-threads", 0)
    metrics = json.loads((checkpoint.parent / "evaluation-test/metrics.json").read_text())
    about = json.loads((dataset / "dataset.json").read_text())
    wanted = about["alone"]["source"]["test"]["value"]
    assert metrics["source_alone"]["accuracy"]["value"] == pytest.approx(wanted)
    assert "the source alone: accuracy" in printed


def test_evaluation_and_prediction_give_the_same_probabilities(script, checkpoint, dataset):
    script(evaluate, checkpoint, "--n-threads", 0)
    rows = pd.read_csv(checkpoint.parent / "evaluation-test/predictions.csv")
    files = [dataset / "test" / name for name in rows["filename"]]
    predicted = list(minimal_prediction.predict(minimal_prediction.load(checkpoint), files))
    assert [row["label"] for row in predicted] == list(rows["predicted"])
    for name in CLASSES:
        mine = [row["probabilities"][name] for row in predicted]
        np.testing.assert_allclose(mine, rows[f"p({name})"], atol=1e-6)


def test_a_dataset_that_the_checkpoint_was_not_trained_on_is_said(
    script, checkpoint, dataset, tmp_path, caplog
):
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    about = json.loads((other / "dataset.json").read_text()) | {"fingerprint": "another"}
    (other / "dataset.json").write_text(json.dumps(about))
    script(evaluate, checkpoint, "--dataset", other, "--n-threads", 0, "--out", tmp_path / "out")
    assert "trained on another dataset" in caplog.text
    assert (tmp_path / "out/metrics.json").exists()


def test_the_originals_checkpoint_is_evaluated_by_its_own_preprocessing(script, dataset, tmp_path):
    path = tmp_path / "original.pth"
    content = {"state_dict": TinyNext(3).state_dict(), "global_step": 10800}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    script(evaluate, path, "--dataset", dataset, "--n-threads", 0, "--out", tmp_path / "out")
    assert "256 x 256" in (tmp_path / "out/report.html").read_text()


def test_a_checkpoint_of_another_network_says_what_does_not_fit(script, checkpoint):
    content = torch.load(checkpoint)
    content["state_dict"]["block9.weight"] = content["state_dict"].pop("logits.module.bias")
    save_checkpoint(checkpoint, content)
    with pytest.raises(ValueError, match=r"1 missing, such as logits.module.bias; 1 not of it"):
        script(evaluate, checkpoint)


def test_a_dataset_that_is_gone_says_how_to_make_it(script, checkpoint):
    content = torch.load(checkpoint)
    content["config"]["dataset"] = "gone"
    save_checkpoint(checkpoint, content)
    with pytest.raises(FileNotFoundError, match=r"gone: no such folder; make it with"):
        script(evaluate, checkpoint)

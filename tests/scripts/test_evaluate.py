"""evaluate.py: what it writes, that the numbers are right, that they are the model's."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, roc_auc_score

import evaluate
import minimal_prediction
import model.weights
from data.audit.cheats import CHEATS
from data.dataset import RadiographDataset
from data.dataset_folder import PICTURES
from data.subject import TOO_GOOD
from data.transforms import InputFormat
from tests.helpers.networks import (
    CLASSES,
    MAPPING,
    TinyNext,
    centre_head,
    input_form,
    save_network,
)  # fmt: skip
from util.metrics.within_source import within_source_auroc
from util.shortcuts.probes import PROBES

FORM = input_form((32, 48))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, request):
    """A network of two convolutions, and pictures, which take the time, only where asked for."""
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(evaluate, "draw_all", lambda *_: {})
        monkeypatch.setattr(evaluate, "gallery", lambda *_: [])


@pytest.fixture
def pictures():
    """The test is about them."""


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
    centre_head(network, batch)
    path = tmp_path / "run" / "best.pth"
    path.parent.mkdir()
    return save_network(
        path, network, FORM, epoch=2, step=8, temperature=0.2,
        config={"name": "run", "dataset": str(dataset)},
        fingerprint=json.loads((dataset / "dataset.json").read_text())["fingerprint"],
    )  # fmt: skip


def test_it_writes_the_report_the_metrics_the_plots_and_a_row_per_image(
    script, checkpoint, dataset, pictures
):
    printed = script(evaluate, checkpoint, "--n-threads", 0)
    out = checkpoint.parent / "evaluation-test"
    names = {path.name for path in out.iterdir()}
    assert names == {
        "report.html", "report.md", "metrics.json", "predictions.csv", "gallery",
        "confusion_matrix.png", "roc.png", "precision_recall.png", "reliability.png",
        "risk_coverage.png", "subgroups.png",
    }  # fmt: skip
    rows = pd.read_csv(out / "predictions.csv")
    mistakes = (rows["truth"] != rows["predicted"]).sum()
    assert len(list((out / "gallery").iterdir())) == min(12, mistakes)
    assert str(out / "report.html") in printed
    assert "not a medical device" in printed
    report = (out / "report.html").read_text()
    fingerprint = json.loads((dataset / "dataset.json").read_text())["fingerprint"]
    for fact in (str(checkpoint), fingerprint, "medical device"):
        assert fact in report


@pytest.fixture
def evaluated(script):
    """Evaluates a checkpoint: metrics.json, predictions.csv, and what was printed."""

    def run(checkpoint, *words):
        printed = script(evaluate, checkpoint, "--n-threads", 0, *words)
        out = Path(printed.rpartition("Report: ")[2].splitlines()[0]).parent
        rows = pd.read_csv(out / "predictions.csv", keep_default_na=False)
        return json.loads((out / "metrics.json").read_text()), rows, printed

    return run


@pytest.fixture
def measured(evaluated, checkpoint):
    """The same of the checkpoint as it is on its test split."""
    return evaluated(checkpoint)


def change(checkpoint, **fields):
    torch.save(torch.load(checkpoint, weights_only=True) | fields, checkpoint)


def test_the_metrics_are_those_of_the_predictions_by_scikit_learn(evaluated, checkpoint):
    metrics, rows, _ = evaluated(checkpoint, "--n-threads", 2, "--split", "val")
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


def test_the_first_figures_are_within_sources(evaluated, checkpoint):
    metrics, rows, printed = evaluated(checkpoint, "--split", "train")
    assert next(iter(metrics)) == "within_source"
    found = metrics["within_source"]
    chances = rows[[f"p({name})" for name in CLASSES]].to_numpy()
    targets = rows["truth"].map(CLASSES.index).to_numpy()
    expected = within_source_auroc(chances, targets, rows["source"].to_numpy())
    assert found["macro_auroc"]["value"] == pytest.approx(expected, abs=1e-6)
    assert expected != pytest.approx(metrics["macro_auroc"]["value"], abs=1e-3)
    covid = found["comparisons"]["COVID-19 against the rest"]
    assert covid["sources"] == ["covid-chestxray"]
    assert covid["images"] == (rows["source"] == "covid-chestxray").sum()
    assert printed.splitlines()[1].startswith(f"within source auroc{expected:31.3f}  (")
    assert metrics["verdicts"][0].startswith("Between images of one source the model has an AUROC")


def test_a_label_that_the_mapping_leaves_out_shifts_no_row(evaluated, checkpoint):
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    change(checkpoint, mapping={"pneumonia": 0, "COVID-19": 1, "normal": 2})
    _, whole, _ = evaluated(checkpoint)
    # The same network without the output of the label that is not used any more.
    head = {name: weights[name][:2] for name in weights if name.startswith("logits")}
    change(checkpoint, mapping={"pneumonia": 0, "COVID-19": 1}, state_dict=weights | head)
    _, part, _ = evaluated(checkpoint)
    kept = whole[whole["label"] != "normal"].reset_index(drop=True)
    assert 0 < len(part) < len(whole)
    assert list(part["filename"]) == list(kept["filename"])
    assert list(part["truth"]) == list(part["label"])
    sums = kept["p(pneumonia)"] + kept["p(COVID-19)"]
    np.testing.assert_allclose(part["p(pneumonia)"], kept["p(pneumonia)"] / sums, rtol=1e-3)


def another(dataset, folder):
    """A copy that has another fingerprint."""
    shutil.copytree(dataset, folder)
    about = json.loads((folder / "dataset.json").read_text()) | {"fingerprint": "another"}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def shuffled(dataset, folder):
    """A copy with the rows of the test split in another order."""
    shutil.copytree(dataset, folder, ignore=shutil.ignore_patterns("decoded"))
    table = folder / "test_metadata.csv"
    pd.read_csv(table, dtype=str).sample(frac=1, random_state=0).to_csv(table, index=False)
    return folder


def test_cheats_are_scored_beside_the_model_as_in_the_audit(measured, dataset):
    metrics, _, printed = measured
    about = json.loads((dataset / "dataset.json").read_text())
    assert list(metrics["cheats"]) == [f"the {name} alone" for name in CHEATS]
    for name in CHEATS:
        wanted = about["alone"][name]["test"]["value"]
        found = metrics["cheats"][f"the {name} alone"]["accuracy"]["value"]
        assert found == pytest.approx(wanted)
        assert f"the {name} alone: accuracy" in printed
    assert metrics["source_in_pictures"] == about["source_in_pictures"]["test"]
    assert "source named by picture statistics" in printed


def test_a_dataset_without_picture_statistics_has_the_other_cheats(
    evaluated, checkpoint, dataset, tmp_path, caplog
):
    older = shutil.copytree(dataset, tmp_path / "older")
    (older / PICTURES).unlink()
    metrics, _, _ = evaluated(checkpoint, "--dataset", older)
    assert list(metrics["cheats"]) == ["the source alone", "the view alone"]
    assert metrics["source_in_pictures"] is None
    assert f"{older / PICTURES}: missing" in caplog.text


def test_probes_are_scores_of_the_changed_images(measured, checkpoint, dataset):
    metrics = measured[0]
    form, network = InputFormat.of(FORM), network_of(checkpoint)
    images = RadiographDataset(dataset, "test", MAPPING, form)
    pixels = torch.stack([images[k][0] for k in range(len(images))])
    for name, probe in PROBES.items():
        with torch.no_grad():
            named = network(form.normalise(probe.change(pixels))).argmax(1)
        wanted = accuracy_score(images.targets, named)
        assert metrics["probes"][name]["accuracy"]["value"] == pytest.approx(wanted)


def test_subgroups_add_up_to_the_split(measured):
    metrics, rows, _ = measured
    right = rows["truth"] == rows["predicted"]
    for column in ("source", "view", "sex", "age"):
        groups = metrics["subgroups"][column].values()
        assert sum(group["images"] for group in groups) == len(rows)
        hits = sum(group["images"] * group["accuracy"]["value"] for group in groups)
        assert hits == pytest.approx(right.sum())
    ages = list(metrics["subgroups"]["age"])
    assert ages == sorted(ages)


def network_of(checkpoint):
    network = TinyNext(3).eval()
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    return network


def leave_out(checkpoint, source):
    """The checkpoint as that of a training without the source."""
    config = torch.load(checkpoint, weights_only=True)["config"]
    change(checkpoint, config=config | {"leave_out": [source]})


def test_it_tests_on_the_sources_that_training_left_out(evaluated, checkpoint, dataset):
    leave_out(checkpoint, "rsna")
    metrics, rows, _ = evaluated(checkpoint)
    assert (checkpoint.parent / "evaluation-left-out-rsna/report.html").is_file()
    assert metrics["record"]["Images"] == f"{dataset}, split left-out-rsna"
    assert metrics["record"]["Command"].startswith("python3 evaluate.py ")  # wherever that is
    tables = [
        pd.read_csv(dataset / f"{s}_metadata.csv", dtype=str) for s in ("train", "val", "test")
    ]
    table = pd.concat(tables)
    assert set(rows["filename"]) == set(table["filename"][table["source"] == "rsna"])
    assert metrics["images"] == len(rows) > len(tables[2])
    assert set(metrics["within_source"]["comparisons"]["normal against pneumonia"]["sources"]) == {
        "rsna"
    }
    # Training has no image of the source, which then says nothing.
    assert [*metrics["cheats"]] == [f"the {name} alone" for name in CHEATS if name != "source"]
    _, same, _ = evaluated(checkpoint, "--dataset", dataset)  # its own, by name
    assert list(same["filename"]) == list(rows["filename"])
    metrics, rows, _ = evaluated(checkpoint, "--split", "test")
    assert set(rows["filename"]) == set(tables[2]["filename"])


@pytest.mark.parametrize(
    ("left_out", "elsewhere", "message"),
    [
        (False, False, "found nothing left out; expected train, val or test as --split"),
        (True, True, "found another dataset than that of the training; expected train"),
    ],
)
def test_what_was_not_left_out_is_refused(
    script, checkpoint, dataset, tmp_path, left_out, elsewhere, message
):
    if left_out:
        leave_out(checkpoint, "rsna")
    place = another(dataset, tmp_path / "elsewhere") if elsewhere else dataset
    words = ("--split", "left-out", "--dataset", place, "--n-threads", 0)
    with pytest.raises(ValueError, match=f"^{place}: {message}"):
        script(evaluate, checkpoint, *words)


@pytest.fixture
def validated(checkpoint, dataset):
    """The checkpoint with its outputs on validation, as train.py leaves it."""
    form = InputFormat.of(FORM)
    images = RadiographDataset(dataset, "val", MAPPING, form)
    with torch.no_grad():
        pixels = torch.stack([image for image, _ in images])
        logits = network_of(checkpoint)(form.normalise(pixels))
    patients = pd.factorize(images.table["patient_id"])[0].tolist()
    validation = {"logits": logits, "targets": list(images.targets), "patients": patients}
    change(checkpoint, validation=validation)
    return checkpoint


@pytest.mark.parametrize("where", ["own", "another"])
def test_operating_points_are_chosen_on_the_models_own_validation(
    evaluated, validated, dataset, tmp_path, where
):
    """Also on a hospital's images, which have a validation split of their own."""
    if where == "another":
        dataset = another(dataset, tmp_path / "elsewhere")
    words = ("--sensitivity", 0.8, "--out")
    metrics, rows, _ = evaluated(validated, *words, tmp_path / "test", "--dataset", dataset)
    own, chosen_on, _ = evaluated(validated, *words, tmp_path / "val", "--split", "val")
    assert set(metrics["operating_points"]) == set(CLASSES)
    for name, point in metrics["operating_points"].items():
        column, threshold = f"p({name})", point["threshold"]
        chances = chosen_on[column][chosen_on["truth"] == name]
        assert point["chosen_on"] == len(chances)
        assert (chances >= threshold - 1e-3).mean() >= 0.8 > (chances >= threshold + 1e-3).mean()
        found = (rows[column][rows["truth"] == name] >= threshold).mean()
        assert point["sensitivity"]["value"] == pytest.approx(found)
    assert own["operating_points"] == {}  # they would be measured where they were chosen


def test_a_wished_specificity_is_granted_on_the_models_own_validation(
    evaluated, validated, tmp_path
):
    metrics, rows, printed = evaluated(validated, "--specificity", 0.9)
    _, chosen_on, _ = evaluated(validated, "--split", "val", "--out", tmp_path / "val")
    for name, point in metrics["operating_points"].items():
        column, threshold = f"p({name})", point["threshold"]
        chances = chosen_on[column][chosen_on["truth"] != name]
        assert point["chosen_on"] == len(chances)
        assert (chances < threshold + 1e-3).mean() >= 0.9 > (chances < threshold - 1e-3).mean()
        passed = (rows[column][rows["truth"] != name] < threshold).mean()
        assert point["specificity"]["value"] == pytest.approx(passed)
        at = f"{name} at p >= {threshold:.3f} (validation: specificity 0.9)"
        assert f"{at}: specificity" in printed
        assert (point["rate"], point["wished"]) == ("specificity", 0.9)


def test_prediction_sets_are_calibrated_on_validation_and_measured_by_patient(evaluated, validated):
    metrics, rows, printed = evaluated(validated, "--coverage", 0.5)
    sets = metrics["prediction_sets"]
    thresholds = [sets["classes"][name]["threshold"] for name in CLASSES]
    inside = rows[[f"p({name})" for name in CLASSES]].to_numpy(float) >= thresholds
    assert list(rows["set"]) == ["|".join(np.array(CLASSES)[row]) for row in inside]
    rows["covered"] = inside[np.arange(len(rows)), rows["truth"].map(CLASSES.index)]
    rows["size"] = inside.sum(1)
    for name, found in sets["classes"].items():
        of_patients = rows[rows["truth"] == name].groupby("patient_id")["covered"].mean()
        assert found["covered"]["value"] == pytest.approx(of_patients.mean())
    by_view = sets["subgroups"]["view"]["AP"]["covered"]["value"]
    of_patients = rows[rows["view"] == "AP"].groupby("patient_id")["covered"].mean()
    assert by_view == pytest.approx(of_patients.mean())
    size = rows.groupby("patient_id")["size"].mean().mean()
    assert sets["size"]["value"] == pytest.approx(size)
    assert "COVID-19: in its prediction set at 0.5" in printed
    report = (validated.parent / "evaluation-test/report.md").read_text()
    assert "## Prediction sets" in report
    assert metrics["risk_coverage"]["points"][0]["error"]["value"] == pytest.approx(
        1 - metrics["accuracy"]["value"]
    )

    plain, before, _ = evaluated(validated)
    assert plain["prediction_sets"] is None
    assert list(before) == list(rows)[:-3]  # without the set


def test_prediction_sets_are_refused_where_they_are_calibrated_and_without_patients(
    evaluated, validated
):
    with pytest.raises(ValueError, match=r"--coverage: found val of .*; expected other films"):
        evaluated(validated, "--coverage", 0.9, "--split", "val")
    seen = torch.load(validated, weights_only=True)["validation"]
    del seen["patients"]
    change(validated, validation=seen)
    with pytest.raises(ValueError, match=r"best.pth: found no validation films of known patients"):
        evaluated(validated, "--coverage", 0.9)


# Of metrics.json what takes the network, or says in words what came of that.
OF_NETWORK = {
    "probes", "heat_outside_lungs", "source_in_features", "headline", "verdicts", "called_out",
}  # fmt: skip


def test_the_report_comes_again_from_the_predictions_to_the_last_digit(
    evaluated, validated, dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr("util.device._native_bfloat16", lambda device: False)  # as `validated`
    metrics, _, _ = evaluated(validated, "--out", tmp_path / "test")
    evaluated(validated, "--split", "val", "--out", tmp_path / "val")
    ours, validation = (tmp_path / s / "predictions.csv" for s in ("test", "val"))
    theirs = tmp_path / "theirs.csv"
    theirs.write_text(ours.read_text() + validation.read_text().partition("\n")[2])
    found, _, printed = evaluated(f"--predictions={theirs}", "--dataset", dataset)
    again = tmp_path / "theirs" / "evaluation-test-of-set"
    assert (again / "predictions.csv").read_bytes() == ours.read_bytes()
    assert list(found) == list(metrics)
    del found["record"], metrics["record"]  # of the file and the command
    assert (found["calibration"].pop("temperature"), metrics["calibration"].pop("temperature")) == (
        None,
        0.2,
    )
    for name, point in metrics["operating_points"].items():  # chosen on logits in float32
        threshold = found["operating_points"][name].pop("threshold")
        assert threshold == pytest.approx(point.pop("threshold"), abs=1e-5)
    for name in found.keys() - OF_NETWORK:
        assert found[name] == metrics[name], name
    assert set(found["verdicts"]) < set(metrics["verdicts"])
    assert found["headline"] == {
        "state": "not tested",
        "sentence": "Shortcuts could not be tested: the network itself is not here. Left out:"
        " probes, heat maps, features.",
    }
    assert found["headline"]["sentence"] in printed
    report = (again / "report.html").read_text()
    for title in ("Probes", "Heat outside the lungs", "The source in the features"):
        assert f"<h2>{title}</h2>" not in report
    assert "not a medical device" in report


def test_embeddings_are_evaluated_by_a_linear_probe_beside_the_cheats(evaluated, dataset, tmp_path):
    tables = [pd.read_csv(dataset / f"{s}_metadata.csv") for s in ("train", "val", "test")]
    table = pd.concat(tables)
    known = pd.get_dummies(table["label"]).to_numpy(float)  # nothing is easier
    np.savez(tmp_path / "easy.npz", filenames=table["filename"].to_numpy(str), embeddings=known)
    metrics, rows, _ = evaluated(f"--embeddings={tmp_path / 'easy.npz'}", "--dataset", dataset)
    assert metrics["accuracy"]["value"] == metrics["within_source"]["macro_auroc"]["value"] == 1
    assert list(rows["filename"]) == list(tables[2]["filename"])
    assert list(metrics["cheats"]) == [f"the {name} alone" for name in CHEATS]
    assert set(metrics["operating_points"]) == set(CLASSES)
    assert set(metrics["source_in_features"]) == set(CLASSES)
    assert (metrics["probes"], metrics["heat_outside_lungs"]) == ({}, None)
    report = (tmp_path / "easy" / "evaluation-test" / "report.md").read_text()
    assert "chosen by the macro AUROC on val" in report


def test_a_class_that_validation_did_not_have_has_no_threshold(evaluated, validated):
    seen = torch.load(validated, weights_only=True)["validation"]
    change(validated, validation={name: values[:1] for name, values in seen.items()})
    points = evaluated(validated)[0]["operating_points"]
    assert sorted(point["threshold"] is None for point in points.values()) == [False, True, True]


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_that_took_part_in_training_is_warned_of(evaluated, checkpoint, split):
    metrics, _, printed = evaluated(checkpoint, "--split", split)
    assert metrics["warnings"][0] == TOO_GOOD[split]
    assert TOO_GOOD[split] in printed


def test_a_stated_prevalence_changes_its_own_section_alone(evaluated, checkpoint, measured):
    metrics, rows, _ = measured
    change(checkpoint, prior=[0.2, 0.3, 0.5])
    shares = {"normal": 0.8, "pneumonia": 0.15, "COVID-19": 0.05}
    words = [f"{name}={share}" for name, share in shares.items()]
    with_prevalence, found, _ = evaluated(checkpoint, "--prevalence", *words)
    columns = [f"p({name})" for name in CLASSES]
    wanted = rows[columns].to_numpy(float) * np.array(list(shares.values())) / [0.2, 0.3, 0.5]
    wanted /= wanted.sum(1, keepdims=True)
    moved = found[[f"{name} there" for name in columns]].to_numpy(float)
    np.testing.assert_allclose(moved, wanted, atol=1e-6)
    pd.testing.assert_frame_equal(found[rows.columns], rows)
    there = with_prevalence.pop("prevalence")
    assert "--prevalence" in with_prevalence["record"].pop("Command")
    assert there["stated"] == shares
    named = np.array(CLASSES)[wanted.argmax(1)]
    recall = (named == "normal")[rows["truth"] == "normal"].mean()
    assert there["recall"]["normal"]["value"] == pytest.approx(recall)
    wrong = [(named != name)[rows["truth"] == name].mean() for name in CLASSES]
    error = there["risk_coverage"]["points"][0]["error"]["value"]
    assert error == pytest.approx(np.dot(wrong, list(shares.values())))
    for name in with_prevalence.keys() - {"record"}:
        assert with_prevalence[name] == metrics[name], name


def test_a_users_class_folders_are_evaluated_as_the_same_images_of_a_dataset(
    evaluated, checkpoint, dataset, measured, tmp_path
):
    _, rows, _ = measured
    for name, label in zip(rows["filename"], rows["label"], strict=True):
        (tmp_path / "mine" / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(dataset / "test" / name, tmp_path / "mine" / label)
    (tmp_path / "mine" / "normal" / "broken.png").write_bytes(b"no image")
    metrics, found, _ = evaluated(checkpoint, "--folder", tmp_path / "mine")
    found.index = found["filename"].str.split("/").str[-1]
    columns = [f"p({name})" for name in CLASSES]
    np.testing.assert_allclose(found.loc[rows["filename"], columns], rows[columns], atol=1e-6)
    assert "broken.png" not in found.index
    within, overall = metrics["within_source"]["macro_auroc"], metrics["macro_auroc"]
    assert within["value"] == pytest.approx(overall["value"])  # all are of one source


def test_the_films_of_a_table_are_evaluated_by_their_hospitals_too(
    evaluated, checkpoint, dataset, measured, tmp_path
):
    metrics, rows, _ = measured
    table = pd.read_csv(dataset / "test_metadata.csv", dtype=str, keep_default_na=False)
    table["hospital"] = table["source"].map({"rsna": "Bethesda"}).fillna("")
    shutil.copytree(dataset / "test", tmp_path / "films")
    table.to_csv(tmp_path / "films" / "mine.csv", index=False)
    found, again, printed = evaluated(checkpoint, "--table", tmp_path / "films" / "mine.csv")
    assert "evaluation-table-mine" in printed
    columns = rows.columns.drop(["finding", "original"])
    pd.testing.assert_frame_equal(again[columns], rows[columns])
    assert found["accuracy"] == metrics["accuracy"]
    assert list(found["subgroups"]) == ["source", "hospital", "view", "sex", "age"]
    assert set(found["subgroups"]["hospital"]) == {"Bethesda", "unknown"}


def test_two_checkpoints_are_compared_on_the_same_images(
    script, evaluated, checkpoint, dataset, tmp_path
):
    worse = tmp_path / "other" / "best.pth"
    worse.parent.mkdir()
    content = torch.load(checkpoint, weights_only=True)
    head = content["state_dict"]["logits.module.weight"]
    content["state_dict"]["logits.module.weight"] = head.flip(0)
    # Its own dataset has the same images in another order: it is not the one that is asked.
    content["config"]["dataset"] = str(shuffled(dataset, tmp_path / "shuffled"))
    torch.save(content, worse)
    printed = script(evaluate, checkpoint, worse, "--n-threads", 0)
    found = json.loads((worse.parent / "comparison-test" / "comparison.json").read_text())
    scores = []
    for letter, path in zip("AB", (checkpoint, worse), strict=True):
        scores.append(evaluated(path, "--dataset", dataset)[0])
        assert found[letter]["accuracy"] == scores[-1]["accuracy"]
        scores[-1]["within_source_auroc"] = scores[-1]["within_source"]["macro_auroc"]
        assert found[letter]["within_source_auroc"] == scores[-1]["within_source_auroc"]
    assert next(iter(found["difference"])) == "within_source_auroc"  # which is printed first
    for name in ("within_source_auroc", "accuracy", "macro_f1"):
        wanted = scores[1][name]["value"] - scores[0][name]["value"]
        assert found["difference"][name]["value"] == pytest.approx(wanted)
    assert found["verdict"] in printed
    same = script(evaluate, checkpoint, checkpoint, "--n-threads", 0, "--out", tmp_path / "same")
    assert "accuracy, B less A                           0.000  (-" in same


def test_checkpoints_of_other_classes_are_not_compared(script, checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    mapping = {"pneumonia": 0, "normal": 1, "COVID-19": 2}
    torch.save(content | {"mapping": mapping}, tmp_path / "b.pth")
    with pytest.raises(ValueError, match="found classes pneumonia, normal, COVID-19; expected"):
        script(evaluate, checkpoint, tmp_path / "b.pth", "--n-threads", 0)


@pytest.mark.parametrize("augmented", [False, True])
def test_evaluation_and_prediction_give_the_same_probabilities(
    evaluated, checkpoint, dataset, augmented
):
    change(checkpoint, test_time_augmentation=augmented)
    _, rows, _ = evaluated(checkpoint)
    files = [dataset / "test" / name for name in rows["filename"]]
    predicted = list(minimal_prediction.predict(minimal_prediction.load(checkpoint), files))
    assert [row["label"] for row in predicted] == list(rows["predicted"])
    for name in CLASSES:
        mine = [row["probabilities"][name] for row in predicted]
        np.testing.assert_allclose(mine, rows[f"p({name})"], atol=1e-6)


def test_a_dataset_that_the_checkpoint_was_not_trained_on_is_said(
    script, checkpoint, dataset, tmp_path, caplog
):
    other = another(dataset, tmp_path / "other")
    script(evaluate, checkpoint, "--dataset", other, "--n-threads", 0)
    assert "trained on another or an unknown dataset" in caplog.text
    # Beside the report of its own test split, not over it.
    assert (checkpoint.parent / "evaluation-test-of-other/metrics.json").exists()


def test_the_originals_checkpoint_is_evaluated_by_its_own_preprocessing(script, dataset, tmp_path):
    path = tmp_path / "original.pth"
    content = {"state_dict": TinyNext(3).state_dict(), "global_step": 10800}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    script(evaluate, path, "--dataset", dataset, "--n-threads", 0, "--out", tmp_path / "out")
    assert "256 x 256" in (tmp_path / "out/report.html").read_text()


def test_a_checkpoint_of_another_network_says_what_does_not_fit(script, checkpoint):
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    weights["block9.weight"] = weights.pop("logits.module.bias")
    change(checkpoint, state_dict=weights)
    with pytest.raises(ValueError, match=r"1 missing, such as logits.module.bias; 1 not of it"):
        script(evaluate, checkpoint)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("other.pth", "--sensitivity", "0.9"), "--sensitivity: found two checkpoints"),
        (("other.pth", "--specificity", "0.9"), "--specificity: found two checkpoints"),
        (("--sensitivity", "0.9", "--specificity", "0.9"), "--specificity: not allowed with"),
        (("other.pth", "--prevalence", "normal=1"), "--prevalence: found two checkpoints"),
        (("--folder", "mine", "--split", "val"), "--split: found --folder, which has none"),
        (("--mapping", "normal=0"), "--mapping: found a checkpoint, which has its own"),
        (("--predictions", "p.csv"), "--predictions: not allowed with argument CHECKPOINT"),
    ],
)
def test_a_flag_that_would_do_nothing_is_refused(script, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        script(evaluate, "best.pth", *words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "one of the arguments CHECKPOINT --predictions --embeddings is required"),
        (("--predictions", "p.csv", "--embeddings", "e.npz"), "--embeddings: not allowed with"),
        (("--predictions", "p.csv", "--table", "t.csv"), "--table: found --predictions, which go"),
        (("--embeddings", "e.npz", "--folder", "mine"), "--folder: found --embeddings, which go"),
        (("--predictions", "p.csv", "--split", "left-out"), "--split: found left-out, which only"),
        (
            ("--embeddings", "e.npz", "--split", "val"),
            "--split: found val; --embeddings are tested",
        ),
    ],
)
def test_what_does_not_go_with_the_file_of_a_model_that_is_elsewhere(
    script, capsys, words, message
):
    with pytest.raises(SystemExit) as stop:
        script(evaluate, *words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def without(label, dataset, folder):
    """A copy that has no image of the label."""
    shutil.copytree(dataset, folder, ignore=shutil.ignore_patterns("decoded"))
    for split in ("train", "val", "test"):
        table = pd.read_csv(folder / f"{split}_metadata.csv", dtype=str, keep_default_na=False)
        table[table["label"] != label].to_csv(folder / f"{split}_metadata.csv", index=False)
    about = json.loads((folder / "dataset.json").read_text())
    about["labels"].remove(label)
    (folder / "dataset.json").write_text(json.dumps(about | {"fingerprint": label}))
    return folder


def test_a_dataset_without_a_class_of_the_model_is_evaluated_on_the_others(
    evaluated, validated, dataset, measured, pictures, tmp_path, caplog
):
    whole = measured[1]
    change(validated, prior=[0.3, 0.3, 0.4])
    other = without("COVID-19", dataset, tmp_path / "other")
    shares = ("--prevalence", "normal=0.8", "pneumonia=0.2", "COVID-19=0")
    metrics, rows, _ = evaluated(validated, "--dataset", other, *shares)
    lines = [r.message for r in caplog.records if r.message.startswith("no image of")]
    assert lines == ["no image of COVID-19, which the model knows: evaluated on its other classes"]
    assert list(rows["filename"]) == list(whole["filename"][whole["label"] != "COVID-19"])
    truth = rows["truth"]
    assert metrics["accuracy"]["value"] == pytest.approx((truth == rows["predicted"]).mean())
    scores = [roc_auc_score(truth == name, rows[f"p({name})"]) for name in CLASSES[:2]]
    assert metrics["macro_auroc"]["value"] == pytest.approx(np.mean(scores))
    assert metrics["per_class"]["COVID-19"]["recall"]["value"] is None
    assert any(text.startswith("COVID-19: no images") for text in metrics["warnings"])
    assert set(metrics["cheats"]) == {f"the {cheat} alone" for cheat in CHEATS}
    out = validated.parent / "evaluation-test-of-other"
    assert {"report.html", "report.md", "roc.png", "subgroups.png"} <= {
        path.name for path in out.iterdir()
    }


def test_a_dataset_with_one_class_and_none_to_train_on_is_evaluated(
    evaluated, validated, dataset, pictures, tmp_path
):
    folder = without("COVID-19", dataset, tmp_path / "two")
    folder = without("pneumonia", folder, tmp_path / "one")
    table = folder / "train_metadata.csv"
    table.write_text(table.read_text().splitlines()[0])
    metrics, rows, _ = evaluated(validated, "--dataset", folder)
    assert set(rows["truth"]) == {"normal"}
    assert (metrics["cheats"], metrics["macro_auroc"]["value"]) == ({}, None)


def test_checkpoints_are_compared_where_a_class_is_lacking(script, checkpoint, dataset, tmp_path):
    other = without("normal", dataset, tmp_path / "other")
    printed = script(
        evaluate, checkpoint, checkpoint, "--dataset", other, "--n-threads", 0, "--out", tmp_path
    )
    assert "No difference is shown" in printed


def test_an_evaluation_that_is_stopped_leaves_no_folder(script, checkpoint, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "probes", stop)
    with pytest.raises(KeyboardInterrupt):
        script(evaluate, checkpoint, "--n-threads", 0)
    assert [path.name for path in checkpoint.parent.iterdir()] == ["best.pth"]


def test_a_folder_whose_name_is_not_utf_8_is_evaluated(evaluated, checkpoint, dataset, tmp_path):
    place = tmp_path / "caf\udce9" / "normal"
    try:
        place.mkdir(parents=True)
    except OSError:
        pytest.skip("a file system of valid names")
    for k, path in enumerate(sorted((dataset / "test").iterdir())[:4]):
        shutil.copy(path, place / f"{k}\udcff.png")
    _, rows, _ = evaluated(checkpoint, "--folder", place.parent, "--out", tmp_path / "out")
    assert list(rows["filename"]) == [f"normal/{k}\\udcff.png" for k in range(4)]
    assert "caf\\udce9" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_a_file_where_the_results_shall_go_is_said_before_the_work(script, checkpoint):
    with pytest.raises(NotADirectoryError, match=r"best\.pth: found a file; expected a folder"):
        script(evaluate, checkpoint, "--out", checkpoint)


def test_a_dataset_that_is_gone_says_how_to_make_it(script, checkpoint):
    change(checkpoint, config={"dataset": "gone"})
    with pytest.raises(FileNotFoundError, match=r"gone: .* or give --dataset if it is elsewhere"):
        script(evaluate, checkpoint)

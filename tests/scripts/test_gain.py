"""benchmarks gain: scores of groups of models, and their differences, patient by patient."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks import __main__ as benchmarks
from tests.helpers.networks import CLASSES
from util.metrics.calibration import calibration
from util.metrics.comparison import compare, within_source_difference
from util.metrics.scores import evaluate_predictions
from util.metrics.within_source import within_source


def model(generator, skill, images=240):
    """A table of predictions of images, four a patient, of three sources."""
    truth = np.arange(images) % 3
    logits = generator.normal(size=(images, 3))
    logits[np.arange(images), truth] += skill
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    table = pd.DataFrame({"filename": [f"{k:03}.png" for k in range(images)]})
    table["source"] = [f"s{k // 12 % 3}" for k in range(images)]
    table["patient_id"] = [f"s:{k // 4}" for k in range(images)]
    table["truth"] = [CLASSES[k] for k in truth]
    table[[f"p({name})" for name in CLASSES]] = p
    table["p(normal) there"] = 0.5  # of evaluate.py --prevalence, which does not count
    return table


@pytest.fixture
def tables(tmp_path):
    """Four models, the last two better: files."""
    files = []
    for k, skill in enumerate((0.5, 0.6, 1.5, 1.6)):
        files.append(tmp_path / f"{k}.csv")
        table = model(np.random.default_rng(k), skill)
        table.sample(frac=1, random_state=k).to_csv(files[-1], index=False)
    return files


def gain(script, of, over):
    printed = script(benchmarks, "gain", "--of", *of, "--over", *over, "--json")
    return {row["score"]: row for row in json.loads(printed)}


def numbers(path):
    table = pd.read_csv(path).sort_values("filename")
    p = table[[f"p({name})" for name in CLASSES]].to_numpy()
    return p, table["truth"].map(CLASSES.index).to_numpy(), table


def interval(row):
    value, low, high = (
        row["difference"].replace("(", "").replace(")", "").replace(" - ", " ").split()
    )
    return float(value), float(low), float(high)


def test_the_scores_are_those_of_the_report(script, tables):
    rows = gain(script, tables[2:3], tables[:1])
    for column, path in (("over", tables[0]), ("of", tables[2])):
        p, targets, table = numbers(path)
        truth = targets, table["patient_id"], CLASSES
        scores, reliable = evaluate_predictions(p, *truth), calibration(p, *truth[:2])
        within = within_source(p, table["source"], *truth)
        pair = within["comparisons"]["pneumonia against COVID-19"]["auroc"]
        wanted = {
            "within source, mean of the classes": within["macro_auroc"],
            "within source, pneumonia against COVID-19": pair,
            "macro AUROC": scores["macro_auroc"],
            "macro F1": scores["macro_f1"],
            "accuracy": scores["accuracy"],
            "recall of COVID-19": scores["per_class"]["COVID-19"]["recall"],
            "specificity of COVID-19": scores["per_class"]["COVID-19"]["specificity"],
            "log-loss": reliable["log_loss"],
            "calibration error": reliable["expected_calibration_error"],
        }
        found = {name: rows[name][column] for name in wanted}
        assert found == {name: f"{metric['value']:.3f}" for name, metric in wanted.items()}


def test_the_intervals_are_close_to_those_of_two_compared_models(script, tables):
    (a, targets, table), (b, _, _) = map(numbers, (tables[0], tables[2]))
    rows = gain(script, tables[2:3], tables[:1])
    patients, sources = table["patient_id"], table["source"]
    wanted = compare(a, b, targets, patients, CLASSES)["difference"]["macro_auroc"]
    within = within_source_difference(a, b, sources, targets, patients)
    for name, metric in (
        ("macro AUROC", wanted),
        ("within source, mean of the classes", within),
    ):
        assert interval(rows[name]) == pytest.approx([*metric.values()], abs=0.03)


def test_a_group_counts_by_the_mean_of_its_models(script, tables):
    together = gain(script, tables[2:], tables[:2])["macro AUROC"]
    each = [
        gain(script, [of], [over])["macro AUROC"]
        for of, over in zip(tables[2:], tables[:2], strict=True)
    ]
    for column in ("over", "of"):
        mean = np.mean([float(row[column]) for row in each])
        assert float(together[column]) == pytest.approx(mean, abs=0.0011)
    value, low, high = interval(together)
    assert 0 < low < value < high
    assert high - low < np.mean([np.ptp(interval(row)[1:]) for row in each])


def test_copies_of_a_patients_films_do_not_make_the_interval_narrower(script, tables):
    alone = gain(script, tables[2:3], tables[:1])
    for path in (tables[0], tables[2]):
        table = pd.read_csv(path)
        copies = [table.assign(filename=f"{k}-" + table["filename"]) for k in range(4)]
        pd.concat(copies).to_csv(path, index=False)
    copied = gain(script, tables[2:3], tables[:1])
    for name in ("macro AUROC", "calibration error", "log-loss"):
        assert interval(copied[name]) == pytest.approx(interval(alone[name]), abs=0.0011)


def test_a_model_gains_nothing_over_itself(script, tables):
    rows = gain(script, tables[:1], tables[:1])
    assert {row["difference"] for row in rows.values()} == {"+0.000 (+0.000 - +0.000)"}


def test_other_images_and_labels_are_refused(script, tables):
    table = pd.read_csv(tables[1])
    table.loc[0, "truth"] = "COVID-19" if table.loc[0, "truth"] != "COVID-19" else "normal"
    table.to_csv(tables[1], index=False)
    pd.read_csv(tables[2])[1:].to_csv(tables[2], index=False)
    swapped = {"p(normal)": "p(pneumonia)", "p(pneumonia)": "p(normal)"}
    pd.read_csv(tables[3]).rename(columns=swapped).to_csv(tables[3], index=False)
    for other in tables[1:]:
        with pytest.raises(ValueError, match=f"{other.name}: found other .*; expected the same"):
            gain(script, [other], tables[:1])


@pytest.mark.parametrize("kept", [["p(normal)", "p(pneumonia)"], []])
def test_a_table_without_the_probability_of_a_class_is_refused(script, tables, kept):
    table = pd.read_csv(tables[0])
    lost = [name for name in table if name.startswith("p(") and name not in kept]
    table.drop(columns=lost).to_csv(tables[0], index=False)
    with pytest.raises(ValueError, match=r"0\.csv: found (normal, pneumonia|no class) with a"):
        gain(script, tables[:1], tables[:1])

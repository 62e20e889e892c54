import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as sklearn

from tests.helpers.networks import CLASSES
from tests.helpers.paths import ROOT
from tests.helpers.world import PATIENTS, SHARES, coverage, names, outside, population, sure
from util.metrics.intervals import bootstrap, wilson_interval
from util.metrics.scores import (
    accuracy,
    confusion_matrix,
    evaluate_predictions,
    f1,
    macro_auroc,
    macro_average,
    precision,
    recall,
    specificity,
)

SCALARS = ["accuracy", "balanced_accuracy", "macro_f1", "macro_precision", "macro_recall"]
PER_CLASS = ["precision", "recall", "specificity", "f1", "auroc", "average_precision"]


def random_table(seed: int, n: int = 120, n_classes: int = 3):
    """Probabilities with many ties, targets and patients of about two images."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(n_classes, size=n)
    scores = np.round(generator.random((n, n_classes)), 1)
    scores[np.arange(n), targets] += np.round(generator.random(n), 1)
    patients = [f"rsna:{index}" for index in generator.integers(n // 2, size=n)]
    return scores, targets, patients


def intervals(metrics: dict) -> list[dict]:
    found = [metrics[name] for name in (*SCALARS, "macro_auroc", "macro_average_precision")]
    for scores in metrics["per_class"].values():
        found += [scores[name] for name in PER_CLASS]
    return found


# ---- Agreement with scikit-learn ----


@pytest.mark.parametrize("seed", range(10))
def test_metrics_agree_with_scikit_learn(seed):
    scores, targets, patients = random_table(seed, n_classes=4)
    guesses = scores.argmax(1)
    found = evaluate_predictions(scores, targets, patients, list("abcd"), draws=10)
    assert found["confusion_matrix"] == sklearn.confusion_matrix(targets, guesses).tolist()

    expected = {
        "accuracy": sklearn.accuracy_score(targets, guesses),
        "balanced_accuracy": sklearn.balanced_accuracy_score(targets, guesses),
        "macro_f1": sklearn.f1_score(targets, guesses, average="macro"),
        "macro_precision": sklearn.precision_score(targets, guesses, average="macro"),
        "macro_recall": sklearn.recall_score(targets, guesses, average="macro"),
        "macro_auroc": np.mean(
            [sklearn.roc_auc_score(targets == k, scores[:, k]) for k in range(4)]
        ),
        "macro_average_precision": sklearn.average_precision_score(np.eye(4)[targets], scores),
    }
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected, abs=1e-6)

    for k, label in enumerate("abcd"):
        actual, named = targets == k, guesses == k
        expected = {
            "precision": sklearn.precision_score(actual, named),
            "recall": sklearn.recall_score(actual, named),
            "specificity": sklearn.recall_score(~actual, ~named),
            "f1": sklearn.f1_score(actual, named),
            "auroc": sklearn.roc_auc_score(actual, scores[:, k]),
            "average_precision": sklearn.average_precision_score(actual, scores[:, k]),
        }
        values = {name: found["per_class"][label][name]["value"] for name in expected}
        assert values == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_weights_agree_with_scikit_learn(seed):
    scores, targets, _ = random_table(seed)
    guesses = scores.argmax(1)
    weights = np.random.default_rng(seed).integers(0, 4, size=(6, len(targets))).astype(float)
    matrices = confusion_matrix(targets, guesses, 3, weights)
    for row, matrix in zip(weights, matrices, strict=True):
        expected = sklearn.confusion_matrix(targets, guesses, sample_weight=row)
        assert matrix == pytest.approx(expected, abs=1e-6)


def test_a_class_never_predicted_has_precision_0_as_in_scikit_learn():
    targets, guesses = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 1])
    matrix = confusion_matrix(targets, guesses, 3)
    expected = sklearn.precision_score(targets, guesses, average=None, zero_division=0)
    assert precision(matrix) == pytest.approx(expected)
    expected = sklearn.f1_score(targets, guesses, average="macro", zero_division=0)
    assert macro_average(f1(matrix), matrix) == pytest.approx(expected)


# ---- Conventions ----


def test_rows_of_the_confusion_matrix_are_the_truth():
    matrix = confusion_matrix(np.array([0, 0, 0, 2]), np.array([1, 1, 0, 2]), 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 1]]
    assert matrix.dtype == np.int64


def test_one_line_of_code_serves_one_matrix_and_many():
    matrices = np.random.default_rng(0).integers(0, 5, size=(2, 7, 4, 4))
    for metric in (accuracy, precision, recall, specificity, f1):
        many = metric(matrices)
        for place in np.ndindex(2, 7):
            np.testing.assert_array_equal(many[place], metric(matrices[place]))


def test_a_class_without_images_is_undefined_and_left_out_of_the_averages():
    targets, guesses = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2])
    metrics = evaluate_predictions(sure(guesses), targets, list("abcd"), CLASSES)
    absent = metrics["per_class"]["COVID-19"]
    for name in ("recall", "f1", "auroc", "average_precision"):
        assert absent[name] == {"value": None, "low": None, "high": None}
    assert absent["precision"]["value"] == 0
    assert absent["images"] == absent["patients"] == 0
    assert metrics["macro_recall"]["value"] == pytest.approx(0.75)
    assert metrics["macro_precision"]["value"] == pytest.approx(1.0)
    assert metrics["macro_f1"]["value"] == pytest.approx((1 + 2 / 3) / 2)


def test_images_of_one_class_alone_leave_auroc_and_specificity_undefined():
    metrics = evaluate_predictions(sure([0, 0, 1]), np.array([0, 0, 0]), list("abc"), CLASSES)
    assert metrics["macro_auroc"]["value"] is None
    assert metrics["per_class"]["normal"]["specificity"]["value"] is None
    assert metrics["accuracy"]["value"] == pytest.approx(2 / 3)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_the_macro_auroc_is_of_the_classes_that_occur():
    scores = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.55, 0.35, 0.1]])
    assert macro_auroc(scores, np.array([0, 1, 1])) == 1
    assert macro_auroc(scores, np.array([1, 0, 1])) == 0.0
    assert np.isnan(macro_auroc(scores, np.array([1, 1, 1])))


# ---- Intervals ----


@pytest.mark.parametrize("seed", range(10))
def test_every_interval_holds_its_value_within_0_and_1(seed):
    generator = np.random.default_rng(seed)
    n_classes = int(generator.integers(2, 6))
    tables = random_table(seed, int(generator.integers(3, 40)), n_classes)
    metrics = evaluate_predictions(*tables, [f"class {k}" for k in range(n_classes)], draws=50)
    for entry in intervals(metrics):
        if entry["value"] is not None:
            assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1


def test_a_perfect_score_on_ten_patients_is_no_certainty():
    targets = np.arange(20) % 2
    metrics = evaluate_predictions(sure(targets, 2), targets, names(20), ["normal", "COVID-19"])
    for entry in intervals(metrics):
        assert entry["value"] == 1
        assert entry["high"] == 1
        assert entry["low"] < 0.9
    assert metrics["per_class"]["COVID-19"]["recall"]["low"] == pytest.approx(0.722, abs=5e-4)


def test_a_rare_class_without_mistakes_keeps_its_doubt_in_the_macro_averages():
    """The test set published in 2020: 100 normal, 100 pneumonia and 10 COVID-19 images."""
    targets = np.repeat([0, 1, 2], [100, 100, 10])
    guesses = targets.copy()
    guesses[[0, 1, 2, 100, 101]] = [1, 1, 1, 0, 0]
    metrics = evaluate_predictions(sure(guesses), targets, names(210), CLASSES)
    # Ten of ten may be 72 %, which alone takes 9 points off the macro recall.
    assert metrics["macro_recall"]["low"] < metrics["macro_recall"]["value"] - 0.09
    assert metrics["macro_f1"]["low"] < metrics["macro_f1"]["value"] - 0.09


def test_a_perfect_ranking_is_no_surer_than_the_smaller_side():
    targets = np.repeat([0, 1], [40, 3])
    metrics = evaluate_predictions(sure(targets, 2), targets, names(43), ["many", "few"])
    for label in ("many", "few"):
        for name in ("auroc", "average_precision"):
            low = metrics["per_class"][label][name]["low"]
            assert low == pytest.approx(wilson_interval(1, 3)[0])


def test_classes_that_fail_together_widen_the_macro_f1():
    """With two classes a mistake counts against both, so that their F1 are not independent."""
    targets = np.repeat([0, 1], 50)
    guesses = np.where(np.arange(100) % 4 == 0, 1 - targets, targets)
    patients = np.array([str(index) for index in range(100)])
    found = evaluate_predictions(sure(guesses, 2), targets, patients, ["no", "yes"])["macro_f1"]

    def drawn(weights: np.ndarray) -> np.ndarray:
        matrices = confusion_matrix(targets, guesses, 2, weights)
        return macro_average(f1(matrices), matrices)

    low, high = np.quantile(bootstrap(drawn, patients), [0.025, 0.975])
    assert found["low"] == pytest.approx(low)
    assert found["high"] == pytest.approx(high)


def test_images_of_few_patients_widen_every_headline_interval():
    scores, targets, _ = random_table(1, n=300)
    order = np.argsort(targets * 2 + (scores.argmax(1) == targets))  # alike within each patient
    scores, targets = scores[order], targets[order]
    alone = evaluate_predictions(scores, targets, [str(i) for i in range(300)], CLASSES)
    shared = evaluate_predictions(scores, targets, [str(i // 6) for i in range(300)], CLASSES)
    for name in (*SCALARS, "macro_auroc", "macro_average_precision"):
        assert alone[name]["value"] == shared[name]["value"]
        assert width(shared[name]) > 1.3 * width(alone[name])


def width(entry: dict) -> float:
    return entry["high"] - entry["low"]


def test_proportions_have_wilson_intervals_of_their_own_images():
    targets, guesses = np.array([0] * 8 + [1] * 12), np.array([0] * 6 + [1] * 11 + [0] * 3)
    metrics = evaluate_predictions(sure(guesses, 2), targets, names(20), ["no", "yes"])
    scores = metrics["per_class"]["no"]
    for entry, hits, n in [
        (metrics["accuracy"], 15, 20),
        (scores["recall"], 6, 8),
        (scores["specificity"], 9, 12),
        (scores["precision"], 6, 9),
    ]:
        expected = (hits / n, *wilson_interval(hits / n, n))
        assert tuple(entry.values()) == pytest.approx(expected)


def test_the_seed_fixes_the_intervals():
    table = random_table(2)
    first = evaluate_predictions(*table, CLASSES, seed=7, draws=100)
    assert evaluate_predictions(*table, CLASSES, seed=7, draws=100) == first
    other = evaluate_predictions(*table, CLASSES, seed=8, draws=100)
    assert other["macro_f1"] != first["macro_f1"]
    assert other["macro_f1"]["value"] == first["macro_f1"]["value"]


# Name -> patients, shares of the classes, and which intervals are known to cover less than 93 % of
# the samples or more than 97 %: Wilson's of high rates are a little too wide, and so is the F1 of
# few patients; beside a class of ten patients, the AUROC and the average precision of the others
# are a little too narrow.
WORLDS = {
    "the test split": (PATIENTS, SHARES, {
        "per_class normal recall", "per_class normal f1", "per_class pneumonia recall",
        "per_class COVID-19 precision", "per_class COVID-19 specificity", "per_class COVID-19 f1",
    }),
    "ten patients of one class": (100, (0.45, 0.45, 0.1), {
        "macro_average_precision", "per_class normal auroc", "per_class normal average_precision",
        "per_class pneumonia auroc", "per_class pneumonia average_precision",
        "per_class COVID-19 recall", "per_class COVID-19 f1",
    }),
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_intervals_hold_the_truth_in_93_to_97_of_100_samples(world):
    """Of 200 bootstrap draws, whose spread is within 5 % of that of many; it saves minutes."""
    patients, shares, known = WORLDS[world]

    def report(seed: int, patients: int) -> dict:
        draws = 200 if patients < 1000 else 2  # of the truth no interval is asked
        return evaluate_predictions(*population(seed, patients, shares), CLASSES, draws=draws)

    found = coverage(report, patients)
    assert outside(found, known) == {}
    assert min(found.values()) > 90


# ---- Counts, warnings, errors ----


def test_patients_are_counted_once_and_warned_of_below_thirty():
    targets = np.array([0] * 40 + [1] * 8)
    patients = names(40) + ["cohen:1"] * 8
    metrics = evaluate_predictions(sure(targets), targets, patients, CLASSES)
    assert (metrics["images"], metrics["patients"]) == (48, 41)
    assert metrics["per_class"]["pneumonia"]["images"] == 8
    assert metrics["per_class"]["pneumonia"]["patients"] == 1
    assert metrics["classes"] == CLASSES
    assert metrics["warnings"] == [
        "pneumonia: 1 patient; intervals are wide below 30.",
        "COVID-19: no images; its recall, F1, AUROC and average precision are undefined, macro"
        " values leave it out.",
        "COVID-19: never predicted; its precision counts as 0.",
    ]


GOOD = {
    "probabilities": sure([0, 1, 2]),
    "targets": np.array([0, 1, 2]),
    "patients": ["a", "b", "c"],
    "classes": CLASSES,
}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"probabilities": sure([0, 1], 2)}, r"probabilities: shape \(2, 2\); expected \(3, 3\)"),
        ({"probabilities": np.full((3, 3), np.nan)}, r"row 0 is \[nan, nan, nan\]; expected fin"),
        ({"targets": np.array([0, 1, 3])}, "targets: row 2 is 3; expected 0 to 2"),
        ({"targets": np.array([0, -1, 2])}, "targets: row 1 is -1; expected 0 to 2"),
        ({"targets": np.array([0.0, 1.0, 2.0])}, "targets: .* float64; expected one class index"),
        ({"targets": np.zeros(0, int)}, r"targets: shape \(0,\)"),
        ({"patients": ["a", "b"]}, "patients: 2 names; expected 3"),
        ({"patients": ["a", float("nan"), "c"]}, "patients: row 1 is nan; expected a patient"),
        ({"patients": ["a", "b", ""]}, "patients: row 2 is ''"),
        ({"classes": ["a", "b", "a"]}, "classes: .* expected distinct names"),
    ],
)
def test_input_that_does_not_fit_is_named_in_one_line(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluate_predictions(**GOOD | wrong)
    assert "\n" not in str(error.value)


def test_metrics_import_neither_torch_nor_another_heavy_library():
    heavy = {"torch", "scipy.stats", "scipy.optimize", "sklearn", "pandas", "matplotlib"}
    code = f"import sys, util.metrics.scores; print(*{heavy} & set(sys.modules))"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert found.split() == []

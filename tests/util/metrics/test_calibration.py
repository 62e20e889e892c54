import json
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from tests.helpers.world import coverage, names, outside, population
from util.metrics.calibration import BINS, calibration, fit_temperature
from util.metrics.intervals import wilson_interval
from util.metrics.probabilities import tempered


def world(seed: int, n: int, factor: float = 1.0, spread: float = 2.0):
    """Logits (n, 3) whose softmax is right when divided by `factor`, and targets drawn by it."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, 3)) * spread
    right = softmax(logits, axis=1)
    targets = (generator.random((n, 1)) > right.cumsum(1)[:, :2]).sum(1)
    return logits * factor, targets


def measured(probabilities: np.ndarray, targets: np.ndarray) -> dict:
    """`calibration` of one image a patient, for its values."""
    return calibration(probabilities, targets, names(len(targets)), draws=2)


def error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    return measured(probabilities, targets)["expected_calibration_error"]["value"]


def brier(probabilities: np.ndarray, targets: np.ndarray) -> float:
    return measured(probabilities, targets)["brier"]["value"]


# ---- Agreement with references ----


@pytest.mark.parametrize("seed", range(5))
def test_calibration_error_agrees_with_torchmetrics(seed):
    logits, targets = world(seed, 300, factor=2)
    probabilities = softmax(logits, axis=1)
    ours, theirs = torch.tensor(probabilities), torch.tensor(targets)
    expected = multiclass_calibration_error(ours, theirs, num_classes=3, n_bins=BINS, norm="l1")
    assert error(probabilities, targets) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_brier_score_agrees_with_scikit_learn(seed):
    logits, targets = world(seed, 200)
    probabilities = softmax(logits, axis=1)
    each = [brier_score_loss(targets == k, probabilities[:, k]) for k in range(3)]
    assert brier(probabilities, targets) == pytest.approx(sum(each), abs=1e-6)


def test_log_loss_agrees_with_scikit_learn():
    logits, targets = world(0, 200)
    probabilities = softmax(logits, axis=1)
    probabilities[0] = np.eye(3)[targets[0] - 1]  # surely wrong
    found = measured(probabilities, targets)["log_loss"]["value"]
    assert found == pytest.approx(log_loss(targets, probabilities))


def test_brier_score_is_twice_that_of_one_probability_for_two_classes():
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6]])
    assert brier(probabilities, np.array([0, 0])) == pytest.approx(2 * (0.2**2 + 0.6**2) / 2)


@pytest.mark.parametrize("weights", [None, [1.0, 1.0, 5.0]])
def test_temperature_has_the_least_log_loss_of_scikit_learn(weights):
    logits, targets = world(0, 300, factor=3)
    of_image = None if weights is None else np.array(weights)[targets]

    def loss(log_temperature):
        chances = tempered(logits, float(np.exp(log_temperature[0])))
        return log_loss(targets, chances, sample_weight=of_image, labels=[0, 1, 2])

    expected = float(np.exp(minimize(loss, [0.0], method="Nelder-Mead", tol=1e-8).x[0]))
    assert fit_temperature(logits, targets, weights) == pytest.approx(expected, rel=1e-4)


# ---- Temperature ----


def test_temperature_lowers_the_errors_of_an_over_confident_model_and_finds_the_factor():
    logits, targets = world(0, 4000, factor=4)
    temperature = fit_temperature(logits, targets)
    assert temperature == pytest.approx(4, rel=0.1)

    fresh, truth = world(1, 4000, factor=4)
    before, after = tempered(fresh, 1), tempered(fresh, temperature)
    assert error(before, truth) > 0.15
    assert error(after, truth) < 0.03
    assert log_loss(truth, after) < 0.6 * log_loss(truth, before)
    assert brier(after, truth) < brier(before, truth)
    assert (before.argmax(1) == after.argmax(1)).all()


@pytest.mark.parametrize("factor", [0.3, 1.0, 2.5])
def test_temperature_finds_the_factor_of_a_timid_and_of_a_right_model(factor):
    assert fit_temperature(*world(2, 6000, factor)) == pytest.approx(factor, rel=0.08)


@pytest.mark.parametrize(
    ("logits", "targets", "weights"),
    [
        (np.eye(3) * 5, np.arange(3), None),  # the sharper the better
        (np.zeros((4, 3)), np.arange(4) % 3, None),
        (np.zeros((0, 3)), np.zeros(0, int), None),
        (np.eye(3) * 5, np.array([0, 1, 1]), [1, 0, 1]),
        (np.eye(3) * 5, np.array([0, 0, 0]), [0, 1, 1]),
    ],
    ids=["no mistake", "knows nothing", "no images", "no mistake that counts", "no weight"],
)
def test_temperature_stays_1_where_the_images_say_nothing(logits, targets, weights):
    assert fit_temperature(logits, targets, weights) == 1


def test_a_model_worse_than_chance_gets_the_flattest_temperature():
    assert fit_temperature(np.eye(3) * 5, np.array([1, 2, 0])) == pytest.approx(20, rel=1e-3)


def test_a_class_of_more_weight_decides_more():
    """The first class is named rightly, the second not: without weight only one of them speaks."""
    logits = np.array([[3.0, 0.0]] * 9 + [[0.0, 3.0]] + [[3.0, 0.0]] * 4 + [[0.0, 3.0]] * 6)
    targets = np.repeat([0, 1], 10)
    sharp, flat = (fit_temperature(logits, targets, [w, 1 - w]) for w in (0.99, 0.01))
    assert sharp == pytest.approx(fit_temperature(logits[:10], targets[:10]), rel=0.1)
    assert sharp < 1.5 < flat


def test_huge_logits_do_no_harm():
    logits, targets = world(0, 500, factor=10_000)
    assert fit_temperature(logits, targets) == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (np.array([[0, np.nan]]), np.array([0]), r"logits: row 0 is \[0.0, nan\]; expected finite"),
        (np.zeros((2, 3)), np.array([0]), r"shapes \(2, 3\), \(1,\); expected \(n, K\)"),
    ],
)
def test_logits_that_do_not_fit_are_named(logits, targets, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, targets)


# ---- Bins, intervals ----


def test_bins_hold_every_image_once_and_give_the_error():
    logits, targets = world(0, 300, 2)
    found = measured(softmax(logits, axis=1), targets)
    assert sum(row["images"] for row in found["bins"]) == 300
    gaps = [row["images"] * abs(row["accuracy"] - row["confidence"]) for row in found["bins"]]
    assert sum(gaps) / 300 == pytest.approx(found["expected_calibration_error"]["value"])
    for row in found["bins"]:
        assert row["images"] > 0
        assert row["low"] < row["confidence"] <= row["high"]


def test_full_confidence_lies_in_the_last_bin():
    rows = measured(np.array([[1.0, 0], [1.0, 0]]), np.array([0, 1]))["bins"]
    expected = {"low": 14 / 15, "high": 1, "images": 2, "confidence": 1, "accuracy": 0.5}
    assert rows == [pytest.approx(expected)]


def test_calibration_is_json_and_fixed_by_its_seed():
    logits, targets = world(0, 80)
    table = softmax(logits, axis=1), targets, names(80)
    found = calibration(*table, seed=1, draws=100)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert calibration(*table, seed=1, draws=100) == found
    assert calibration(*table, seed=2, draws=100) != found
    for name in ("expected_calibration_error", "brier", "log_loss"):
        assert 0 <= found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_no_mistakes_are_no_certainty():
    table = np.eye(2)[np.arange(20) % 2], np.arange(20) % 2, names(20)
    found = calibration(*table, draws=50)
    mistakes = 1 - wilson_interval(1, 20)[0]
    error = {"value": 0, "low": 0, "high": mistakes}
    assert found["expected_calibration_error"] == pytest.approx(error)
    assert found["brier"] == pytest.approx({"value": 0, "low": 0, "high": 2 * mistakes})
    assert found["log_loss"]["high"] == pytest.approx(-np.log(np.finfo(float).eps) * mistakes)


def test_one_patient_says_nothing_of_calibration_error_and_log_loss():
    table = np.array([[0.9, 0.1]] * 4), np.array([0, 0, 1, 0]), ["a"] * 4
    found = calibration(*table, draws=50)
    error, loss = (found[name] for name in ("expected_calibration_error", "log_loss"))
    assert (error["low"], error["high"]) == (0, 1)
    assert (loss["low"], loss["high"]) == (0, pytest.approx(-np.log(np.finfo(float).eps)))


def test_copies_of_an_image_narrow_no_interval():
    logits, targets = world(0, 60)
    once = calibration(softmax(logits, axis=1), targets, names(60))
    copies = softmax(np.repeat(logits, 4, axis=0), axis=1), np.repeat(targets, 4)
    again = calibration(*copies, list(np.repeat(names(60), 4)))
    for name in ("expected_calibration_error", "brier", "log_loss"):
        assert list(again[name].values()) == pytest.approx(list(once[name].values()), abs=0.01)


SHARPNESS = {"timid": 0.7, "right": 1.0, "too sure": 1.4}


def report(seed: int, patients: int, **world: float) -> dict:
    """Of 300 bootstrap draws, whose spread is within 4 % of that of many."""
    draws = 300 if patients < 1000 else 2  # of the truth no interval is asked
    return calibration(*population(seed, patients, **world), draws=draws)


@pytest.mark.parametrize("sharpness", SHARPNESS.values(), ids=SHARPNESS)
def test_intervals_hold_the_truth_in_93_to_97_of_100_samples(sharpness):
    found = coverage(partial(report, sharpness=sharpness))
    # A right model has an error of 0, which no interval lies below.
    assert found.pop("expected_calibration_error") >= 93
    assert outside(found) == {}


def test_of_more_patients_intervals_hold_the_truth_in_93_to_97_of_100_samples():
    assert outside(coverage(report, patients=200)) == {}


def test_the_error_seen_exaggerates_the_true_one():
    true = report(10**6, 200_000)["expected_calibration_error"]["value"]
    values = [report(seed, 80)["expected_calibration_error"]["value"] for seed in range(100)]
    assert np.mean(values) > true + 0.02


def test_chance_alone_is_the_error_of_a_right_model():
    found = []
    for seed in range(40):
        logits, targets = world(seed, 200)
        found.append(calibration(softmax(logits, axis=1), targets, names(200), draws=100))
    seen = np.mean([one["expected_calibration_error"]["value"] for one in found])
    assert np.mean([one["expected_by_chance"] for one in found]) == pytest.approx(seen, rel=0.1)

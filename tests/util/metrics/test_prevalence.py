import json

import numpy as np
import pytest
from sklearn.metrics import precision_score

from tests.helpers.networks import CLASSES
from tests.helpers.world import coverage, names, outside, population, sure
from util.metrics.intervals import wilson_interval
from util.metrics.prevalence import at_prevalence
from util.metrics.scores import evaluate_predictions


def random_table(seed: int, n: int = 200):
    generator = np.random.default_rng(seed)
    targets = generator.integers(3, size=n)
    guesses = np.where(generator.random(n) < 0.7, targets, generator.integers(3, size=n))
    return sure(guesses), targets, names(n)


@pytest.mark.parametrize("seed", range(5))
def test_precision_agrees_with_scikit_learn_on_weighted_images(seed):
    prevalence = np.array([0.9, 0.07, 0.03])
    probabilities, targets, patients = random_table(seed)
    weights = (prevalence / np.bincount(targets))[targets]
    expected = precision_score(
        targets, probabilities.argmax(1), average=None, sample_weight=weights
    )
    found = at_prevalence(probabilities, targets, patients, CLASSES, prevalence)["precision"]
    assert [entry["value"] for entry in found.values()] == pytest.approx(expected, abs=1e-6)
    assert list(found) == CLASSES


def test_the_splits_own_mixture_gives_its_own_precision():
    table = random_table(0)
    found = at_prevalence(*table, CLASSES, np.bincount(table[1]) / 200)["precision"]
    whole = evaluate_predictions(*table, CLASSES, draws=10)["per_class"]
    for label in CLASSES:
        assert found[label]["value"] == pytest.approx(whole[label]["precision"]["value"])


def test_a_rare_finding_is_mostly_false_alarms():
    """95 % sensitive, 90 % specific: 1 in 100 has it, 1 in 11 of those named has it."""
    targets = np.repeat([0, 1], 200)
    guesses = targets.copy()
    guesses[:20], guesses[200:210] = 1, 0
    found = at_prevalence(sure(guesses, 2), targets, names(400), ["no", "yes"], [0.99, 0.01])
    expected = 0.01 * 0.95 / (0.01 * 0.95 + 0.99 * 0.1)
    assert found["precision"]["yes"]["value"] == pytest.approx(expected)


def test_no_false_alarm_is_no_certainty():
    """None among 50 of the others may be 7 %: of a rare finding most may be false alarms."""
    targets = np.repeat([0, 1], [50, 40])
    found = at_prevalence(sure(targets, 2), targets, names(90), ["no", "yes"], [0.98, 0.02])
    entry = found["precision"]["yes"]
    assert entry["value"] == entry["high"] == 1
    alarms = 0.98 * (1 - wilson_interval(1, 50)[0])
    assert entry["low"] == pytest.approx(0.02 / (0.02 + alarms), rel=0.1)


def test_a_class_never_given_has_precision_0_and_no_bounds():
    found = at_prevalence(sure([0, 0, 0]), np.array([0, 1, 2]), names(3), CLASSES, [0.5, 0.3, 0.2])
    assert found["precision"]["pneumonia"] == {"value": 0, "low": 0, "high": 1}


def test_nothing_is_known_of_a_population_with_a_class_that_has_no_images():
    table = sure([0, 1, 0, 1]), np.array([0, 1, 1, 0]), names(4), CLASSES
    found = at_prevalence(*table, [0.5, 0.3, 0.2])["precision"]
    assert all(entry["value"] is None for entry in found.values())
    found = at_prevalence(*table, [0.5, 0.5, 0])["precision"]
    assert found["normal"]["value"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(10))
def test_intervals_hold_their_values_within_0_and_1(seed):
    generator = np.random.default_rng(seed)
    table = random_table(seed, int(generator.integers(5, 40)))
    found = at_prevalence(*table, CLASSES, generator.dirichlet([0.3] * 3))["precision"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for entry in found.values():
        if entry["value"] is not None:
            assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1


# What the model sees of the class, and what covers a little less. At 3.2 false alarms are a few in
# a thousand.
@pytest.mark.parametrize(("signal", "known"), [(2.2, set()), (3.2, {"normal"})])
def test_intervals_hold_the_truth_in_93_to_97_of_100_samples(signal, known):
    def report(seed: int, patients: int) -> dict:
        table = population(seed, patients, signal=signal)
        return at_prevalence(*table, CLASSES, [0.9, 0.07, 0.03])["precision"]

    found = coverage(report)
    assert outside(found, known) == {}
    assert min(found.values()) > 90


@pytest.mark.parametrize(
    ("prevalence", "message"),
    [
        ([0.5, 0.5, 0.5], "prevalence: adds up to 1.5; expected 1"),
        ([0.5, 0.5], "expected 3 shares of at least 0, one per class"),
        ([1.5, -0.25, -0.25], "expected 3 shares of at least 0"),
        ([float("nan"), 0.5, 0.5], "expected 3 shares"),
    ],
)
def test_a_prevalence_that_is_none_is_named(prevalence, message):
    with pytest.raises(ValueError, match=message):
        at_prevalence(*random_table(0), CLASSES, prevalence)

import json

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from tests.helpers.world import coverage, names, outside, population
from util.metrics.intervals import clustered_wilson, wilson_interval
from util.metrics.operating_points import Thresholds, choose, measure


def random_table(seed: int, n: int = 150):
    generator = np.random.default_rng(seed)
    targets = generator.integers(3, size=n)
    scores = np.round(generator.random((n, 3)) + np.eye(3)[targets] / 2, 2)  # with ties
    return scores / scores.sum(1, keepdims=True), targets


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wish", [0.5, 0.9, 1.0])
def test_the_threshold_is_the_first_of_scikit_learns_curve_that_grants_the_wish(seed, wish):
    probabilities, targets = random_table(seed)
    for k, found in enumerate(choose(probabilities, targets, wish).values):
        _, rates, thresholds = roc_curve(targets == k, probabilities[:, k], drop_intermediate=False)
        assert found == pytest.approx(thresholds[rates >= wish - 1e-9][0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("wish", [0.5, 0.9, 1.0])
def test_for_a_specificity_it_is_the_last_of_that_curve_that_grants_the_wish(seed, wish):
    probabilities, targets = random_table(seed)
    thresholds = choose(probabilities, targets, wish, "specificity")
    found = measure(probabilities, targets, names(150), list("abc"), thresholds)
    for k, point in enumerate(found.values()):
        alarms, rates, _ = roc_curve(targets == k, probabilities[:, k], drop_intermediate=False)
        granted = 1 - alarms >= wish - 1e-9
        assert point["specificity"]["value"] == pytest.approx(1 - alarms[granted][-1])
        assert point["sensitivity"]["value"] <= rates[granted][-1] + 1e-9
        assert point["chosen_on"] == (targets != k).sum()
        assert (point["rate"], point["wished"]) == ("specificity", wish)


def test_fourteen_of_twenty_five_grant_a_wish_of_56_percent():
    probabilities = np.linspace(1, 0.04, 25)[:, None]
    assert choose(probabilities, np.zeros(25, int), 0.56).values == pytest.approx([0.48])


def test_a_class_without_images_has_no_threshold_and_no_point():
    probabilities, targets = np.array([[0.6, 0.4], [0.3, 0.7]]), np.array([0, 0])
    thresholds = choose(probabilities, targets, 0.9)
    assert thresholds.values == pytest.approx([0.3, np.nan], nan_ok=True)
    assert thresholds.images.tolist() == [2, 0]
    others = np.array([0, 1])
    point = measure(probabilities, others, names(2), ["a", "b"], thresholds)["b"]
    nothing = {"value": None, "low": None, "high": None}
    assert point == {
        "rate": "sensitivity", "wished": 0.9, "chosen_on": 0, "threshold": None,
        "sensitivity": nothing, "specificity": nothing,
    }  # fmt: skip


def test_the_split_it_was_chosen_on_grants_the_wish():
    probabilities, targets = random_table(1)
    thresholds = choose(probabilities, targets, 0.8)
    points = measure(probabilities, targets, names(150), list("abc"), thresholds)
    for k, point in enumerate(points.values()):
        images = (targets == k).sum()
        # Without ties it is the least number of images that reaches 80 %.
        assert 0.8 <= point["sensitivity"]["value"] < 0.8 + 3 / images
    assert json.loads(json.dumps(points, allow_nan=False)) == points


def test_sensitivity_and_specificity_are_counted_at_and_above_the_threshold():
    chances = np.array([0.9, 0.5, 0.4, 0.5, 0.2, 0.1, 0.1])
    probabilities = np.column_stack([1 - chances, chances])
    targets = np.array([1, 1, 1, 0, 0, 0, 0])
    thresholds = Thresholds(np.array([1, 0.5]), np.array([9, 9]), "sensitivity", 0.95)
    point = measure(probabilities, targets, names(7), ["no", "yes"], thresholds)
    found = point["yes"]
    assert found["threshold"] == 0.5
    assert list(found["sensitivity"].values()) == pytest.approx([2 / 3, *wilson_interval(2 / 3, 3)])
    assert list(found["specificity"].values()) == pytest.approx([3 / 4, *wilson_interval(3 / 4, 4)])


def test_intervals_count_patients():
    probabilities, targets = random_table(2)
    patients = [f"rsna:{index // 5}" for index in np.argsort(np.argsort(targets, kind="stable"))]
    thresholds = choose(probabilities, targets, 0.8)
    found = measure(probabilities, targets, patients, list("abc"), thresholds)["b"]
    hits, among = probabilities[:, 1] >= thresholds.values[1], targets == 1
    expected = clustered_wilson(hits[among], np.array(patients)[among])
    assert (found["sensitivity"]["low"], found["sensitivity"]["high"]) == expected


def test_intervals_hold_the_truth_in_93_to_97_of_100_samples_or_a_little_more():
    """Wilson's intervals of high rates are a little too wide."""
    known = {"pneumonia sensitivity", "COVID-19 specificity"}
    classes = ["normal", "pneumonia", "COVID-19"]
    thresholds = choose(*population(10**6 + 1, 200_000)[:2], 0.9)

    def report(seed: int, patients: int) -> dict:
        return measure(*population(seed, patients), classes, thresholds)

    found = coverage(report)
    assert outside(found, known) == {}
    assert min(found.values()) >= 93


def test_a_class_that_the_split_lacks_has_no_sensitivity():
    probabilities, targets = random_table(3)
    thresholds = choose(probabilities, targets, 0.8)
    few = targets < 2
    found = measure(probabilities[few], targets[few], names(few.sum()), list("abc"), thresholds)[
        "c"
    ]
    assert found["sensitivity"]["value"] is None
    assert found["specificity"]["value"] > 0.3


@pytest.mark.parametrize("wish", [0, -1, 1.01, float("nan")])
def test_a_sensitivity_that_cannot_be_is_named(wish):
    with pytest.raises(ValueError, match=r"sensitivity: .* expected above 0, at most 1"):
        choose(*random_table(0), wish)

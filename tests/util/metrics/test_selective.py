"""How many images are named wrongly among the surest."""

import numpy as np
import pytest

from tests.helpers.networks import CLASSES
from tests.helpers.world import SHARES, coverage, names, population, sure
from util.metrics.intervals import wilson_interval
from util.metrics.probabilities import to_prevalence
from util.metrics.selective import SHARES as DECIDED
from util.metrics.selective import area, curve, risk_coverage


def table(confidence, wrong):
    """Probabilities and targets of two classes."""
    confidence = np.array(confidence, float)
    return np.stack([confidence, 1 - confidence], axis=1), np.array(wrong, int)


def test_the_curve_is_the_error_among_the_surest_image_by_image():
    probabilities, targets, _ = population(1)
    decided, error = curve(probabilities, targets, np.ones(len(targets)))
    wrong = (probabilities.argmax(1) != targets)[np.argsort(-probabilities.max(1))]
    n = np.arange(1, len(targets) + 1)
    np.testing.assert_allclose(decided, n / len(targets))
    np.testing.assert_allclose(error, wrong.cumsum() / n)
    found = risk_coverage(probabilities, targets, names(len(targets)), ["a", "b", "c"])
    assert found["area"]["value"] == pytest.approx((wrong.cumsum() / n).mean())


def test_a_weight_of_two_is_the_image_twice():
    p, wrong = [0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1]
    twice = curve(*table(p, wrong), np.array([[1, 2, 1, 1], [1, 0, 1, 1]]))
    for row, rows in enumerate(([0, 1, 1, 2, 3], [0, 2, 3])):
        listed = curve(*table(np.take(p, rows), np.take(wrong, rows)), np.ones(len(rows)))
        assert area(*(part[row] for part in twice)) == pytest.approx(area(*listed))


def test_images_that_are_as_sure_as_each_other_are_decided_together():
    for wrong in ([0, 1, 0, 0], [1, 0, 0, 0]):  # whatever their order
        decided, error = curve(*table([0.8, 0.8, 0.7, 0.7], wrong), np.ones(4))
        assert decided.tolist() == [0.5, 1]
        assert error.tolist() == [0.5, 0.25]
        assert area(decided, error) == 0.375


def test_the_points_are_the_errors_of_the_share_that_is_decided():
    p = np.linspace(0.99, 0.6, 40)
    wrong = [0] * 20 + [1, 0] * 10
    points = risk_coverage(*table(p, wrong), names(40), ["a", "b"])["points"]
    assert [point["decided"] for point in points] == [1, 0.9, 0.8, 0.7, 0.5]
    assert [point["error"]["value"] for point in points] == pytest.approx(
        [10 / 40, 8 / 36, 6 / 32, 4 / 28, 0]
    )
    assert points[4]["probability"] == p[19]
    assert points[4]["error"]["high"] == pytest.approx(0.161, abs=1e-3)  # Wilson's, of 20 patients


def test_a_prevalence_counts_each_image_as_often_as_its_class_is_common():
    """Six of class a and two of b; where b is three of four each image of b is nine of a."""
    p, wrong = np.linspace(0.95, 0.6, 8), np.array([0, 0, 1, 0, 0, 0, 1, 1])
    targets = np.array([0, 0, 1, 0, 0, 0, 0, 1])
    named = targets ^ wrong
    probabilities = np.where(np.arange(2) == named[:, None], p[:, None], 1 - p[:, None])
    found = risk_coverage(probabilities, targets, names(8), ["a", "b"], prevalence=[0.25, 0.75])
    rows = np.repeat(np.arange(8), np.where(targets == 1, 9, 1))
    listed = risk_coverage(probabilities[rows], targets[rows], names(24), ["a", "b"])
    assert found["area"]["value"] == pytest.approx(listed["area"]["value"])
    for point, wanted in zip(found["points"], listed["points"], strict=True):
        assert point["decided"] == pytest.approx(wanted["decided"])
        assert point["probability"] == wanted["probability"]
        assert point["error"]["value"] == pytest.approx(wanted["error"]["value"])


def test_the_mixture_of_the_images_themselves_changes_nothing():
    probabilities, targets, patients = population(1)
    mixture = np.bincount(targets) / len(targets)
    plain = risk_coverage(probabilities, targets, patients, CLASSES)
    found = risk_coverage(probabilities, targets, patients, CLASSES, prevalence=mixture)
    assert found["area"]["value"] == pytest.approx(plain["area"]["value"])
    for point, wanted in zip(found["points"], plain["points"], strict=True):
        assert point["error"]["value"] == pytest.approx(wanted["error"]["value"])


def test_a_class_that_is_not_in_the_population_does_not_count():
    probabilities, targets, patients = population(1)
    found = risk_coverage(probabilities, targets, patients, CLASSES, prevalence=[0.5, 0, 0.5])
    error = [(probabilities.argmax(1) != targets)[targets == k].mean() for k in (0, 2)]
    assert found["points"][0]["error"]["value"] == pytest.approx(np.mean(error))


def test_nothing_is_known_of_a_population_with_a_class_that_has_no_images():
    probabilities, targets, patients = population(1)
    rows = targets != 2
    table = probabilities[rows], targets[rows], patients[rows]
    found = risk_coverage(*table, CLASSES, prevalence=[0.5, 0.3, 0.2])
    assert found == {"area": {"value": None, "low": None, "high": None}, "points": []}
    assert risk_coverage(*table, CLASSES, prevalence=[0.5, 0.5, 0])["points"]


def test_where_there_is_no_mistake_each_class_keeps_the_doubt_of_its_own_patients():
    targets = np.repeat([0, 1], [200, 3])
    found = risk_coverage(
        sure(targets, 2), targets, names(203), ["no", "yes"], prevalence=[0.9, 0.1]
    )
    error = found["points"][0]["error"]
    assert error["value"] == 0
    doubt = 1 - wilson_interval(1, 200)[0], 1 - wilson_interval(1, 3)[0]
    assert error["high"] == pytest.approx(np.hypot(0.9 * doubt[0], 0.1 * doubt[1]))
    equal = 1 / (0.9**2 / 200 + 0.1**2 / 3)  # 135 patients of equal weight know as much
    assert found["area"]["high"] == pytest.approx(1 - wilson_interval(1, equal)[0])


def test_a_share_that_rounding_put_just_below_is_reached():
    """Eighty images of 0.01 add up to a little less than 0.8."""
    p, targets = np.linspace(0.99, 0.6, 100), np.tile([0, 1], 50)
    probabilities = np.where(np.arange(2) == targets[:, None], p[:, None], 1 - p[:, None])
    found = risk_coverage(probabilities, targets, names(100), ["a", "b"], prevalence=[0.5, 0.5])
    assert [point["probability"] for point in found["points"]] == list(p[[99, 89, 79, 69, 49]])


# Below 93 where few are decided: that the sample chose the least probability is not counted.
@pytest.mark.parametrize(
    ("shares", "signal", "prevalence"),
    [(SHARES, 1.4, None), ((0.5, 0.4, 0.1), 1.4, (0.3, 0.3, 0.4))],
    ids=["as they are", "a rare class counts much"],
)
def test_intervals_hold_the_truth_in_at_least_89_of_100_samples(
    shares, signal, prevalence, monkeypatch
):
    monkeypatch.setattr("util.metrics.selective.DRAWS", 100)

    def report(seed: int, n_patients: int) -> dict:
        probabilities, *truth = population(seed, n_patients, shares=shares, signal=signal)
        if prevalence:
            probabilities = to_prevalence(probabilities, shares, prevalence)
        found = risk_coverage(probabilities, *truth, CLASSES, prevalence=prevalence)
        named = {
            f"{share}": point["error"]
            for share, point in zip(DECIDED, found["points"], strict=False)
        }
        return {"area": found["area"], **named}

    found = coverage(report)
    assert min(found.values()) > 89
    assert found["1.0"] > 92

"""How many images are named wrongly among the surest."""

import numpy as np
import pytest

from tests.helpers.world import names, population
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

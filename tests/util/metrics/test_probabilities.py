"""util.metrics.probabilities: from logits to what is shown, for one population or another."""

import numpy as np
import pytest
from scipy.special import softmax

from util.metrics.calibration import calibration
from util.metrics.probabilities import tempered, to_prevalence


def test_tempered_agrees_with_scipy():
    logits = np.random.default_rng(0).normal(size=(20, 3)) * 10
    assert tempered(logits, 1.7) == pytest.approx(softmax(logits / 1.7, axis=1), abs=1e-12)


def test_to_prevalence_is_bayes_rule():
    """A finding in half of the training; an image ten times likelier with it; one in a hundred."""
    found = to_prevalence(np.array([[10 / 11, 1 / 11]]), [0.5, 0.5], [0.01, 0.99])
    assert found[0, 0] == pytest.approx(0.1 / (0.1 + 0.99))


def test_to_its_own_prior_changes_nothing():
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    prior = [0.2, 0.3, 0.5]
    assert to_prevalence(probabilities, prior, prior) == pytest.approx(probabilities)


def test_to_prevalence_calibrates_another_population():
    """Right probabilities of one mixture, moved to another, are right there."""
    generator = np.random.default_rng(0)
    prior, prevalence = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    targets = (generator.random(40_000) > prevalence[0]).astype(int)
    shown = generator.normal(size=40_000) + 2 * targets
    likelihood = np.exp(-((shown[:, None] - [0, 2]) ** 2) / 2)
    probabilities = likelihood * prior / (likelihood @ prior)[:, None]
    moved = to_prevalence(probabilities, prior, prevalence)
    assert probabilities[:, 1].mean() > 0.2
    assert moved[:, 1].mean() == pytest.approx(0.1, abs=0.005)
    patients = np.arange(len(targets)).astype(str)
    before, after = (calibration(p, targets, patients, draws=2) for p in (probabilities, moved))
    assert after["expected_calibration_error"]["value"] < 0.01
    assert after["brier"]["value"] < before["brier"]["value"]


def test_an_image_surely_of_a_class_the_population_has_not_gets_the_prevalence():
    found = to_prevalence(np.array([[1.0, 0, 0]]), [0.4, 0.3, 0.3], [0, 0.25, 0.75])
    assert found.tolist() == [[0, 0.25, 0.75]]


@pytest.mark.parametrize(
    ("prior", "prevalence", "message"),
    [
        ([0.5, 0.5], [0.5, 0.6], "prevalence: adds up to 1.1; expected 1"),
        ([0.5, 0.5], [1.2, -0.2], r"prevalence: \[1.2, -0.2\]; expected 2 shares of at least 0"),
        ([0.5, 0.5], [1.0], "expected 2 shares"),
        ([1.0, 0.0], [0.5, 0.5], "prior: class 1 is 0, its prevalence 0.5; expected some"),
    ],
)
def test_shares_that_are_none_are_named(prior, prevalence, message):
    with pytest.raises(ValueError, match=message):
        to_prevalence(np.array([[0.5, 0.5]]), prior, prevalence)

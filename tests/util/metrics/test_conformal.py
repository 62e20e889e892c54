"""Prediction sets hold the true class of new patients, class by class, as often as wished."""

import numpy as np
import pytest

from util.metrics.conformal import PredictionSets, Validation

DRAWS, COVERAGE = 1000, 0.9
TEST = 5  # new patients of each class, for each draw


def drawn(generator, patients, films):
    """Films of so many `patients` of each of three classes; films: (generator, n) -> (n,).

    A patient with many films is an easy one, with a disease in plain sight.
    """
    class_of = np.repeat(np.arange(3), patients)
    n_films = films(generator, len(class_of))
    member = np.repeat(np.arange(len(class_of)), n_films)
    targets = class_of[member]
    noise = 0.9 * generator.normal(size=(len(n_films), 3))[member]
    noise += 0.4 * generator.normal(size=(len(member), 3))
    chances = np.exp((1 + 0.5 * np.log(n_films))[member, None] * np.eye(3)[targets] + noise)
    return Validation(chances / chances.sum(1, keepdims=True), targets, member)


def few(generator, n):
    return generator.integers(1, 4, n)


def many(generator, n):
    """One film, or as many as a stay in intensive care brings."""
    return np.where(generator.random(n) < 0.7, 1, generator.integers(10, 30, n))


# Patients of each class to calibrate on, and the films of each. Of 19 and the new one a whole
# number is 90 %; of 24 the guarantee rounds it up to 92 %.
WORLDS = {
    "few patients": ((19, 29, 39), few),
    "many films a patient": ((60, 60, 60), many),
    "a rare class": ((300, 100, 29), few),
}


def covered(world, calibrate=PredictionSets.calibrate):
    """How many percent of new patients have their class in the set of a film drawn from theirs, on
    average over the draws: (3,)."""
    patients, films = WORLDS[world]
    generator = np.random.default_rng(0)
    hits = np.zeros(3)
    for _ in range(DRAWS):
        sets = calibrate(drawn(generator, patients, films), COVERAGE)
        new = drawn(generator, (TEST,) * 3, films)
        inside = sets.of(new.probabilities)[np.arange(len(new.targets)), new.targets]
        of_patient = np.bincount(new.patients, inside) / np.bincount(new.patients)
        hits += of_patient.reshape(3, TEST).mean(1)
    return 100 * hits / DRAWS


@pytest.mark.parametrize("world", WORLDS)
def test_of_each_class_90_percent_of_new_patients_are_covered(world):
    assert np.abs(covered(world) - 90).max() <= 2


def test_if_films_counted_and_not_patients_too_few_patients_would_be_covered():
    """So that the world with many films a patient tells a right method from a wrong one."""

    def by_film(films, coverage):
        films = films._replace(patients=np.arange(len(films.targets)))
        return PredictionSets.calibrate(films, coverage)

    assert covered("many films a patient", by_film).max() < 85


def test_of_one_film_a_patient_the_threshold_is_the_split_conformal_quantile():
    """The ceil(0.9 (n + 1))-th largest probability."""
    for n in (9, 19, 25, 250):
        p = np.random.default_rng(n).random(n)
        films = Validation(np.stack([p, 1 - p], axis=1), np.zeros(n, int), np.arange(n))
        sets = PredictionSets.calibrate(films, COVERAGE)
        rank = int(np.ceil(0.9 * (n + 1) - 1e-9))
        assert sets.thresholds[0] == np.sort(p)[::-1][rank - 1]
        assert sets.patients.tolist() == [n, 0]


@pytest.mark.parametrize(("coverage", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_a_class_of_too_few_patients_is_in_every_set(coverage, needed):
    """However many films these have."""
    for n in (needed - 1, needed):
        patients = np.repeat(np.arange(n), 50)
        films = Validation(np.full((50 * n, 2), 0.5), np.zeros(50 * n, int), patients)
        sets = PredictionSets.calibrate(films, coverage)
        assert sets.needed == needed
        always = n < needed
        assert sets.of(np.array([0.1, 0.9])).tolist() == [always, True]


def test_a_set_may_be_empty_or_full_and_what_is_at_the_threshold_is_inside():
    sets = PredictionSets(0.9, np.array([9, 9]), np.array([0.6, 0.5]))
    found = sets.of(np.array([[0.55, 0.45], [0.6, 0.4], [0.5, 0.5], [0.6, 0.5]]))
    assert found.tolist() == [[False, False], [True, False], [False, True], [True, True]]


@pytest.mark.parametrize("coverage", [0, 1, 1.2, -0.1, float("nan")])
def test_a_coverage_that_is_not_a_share_is_one_line(coverage):
    films = Validation(np.ones((1, 1)), np.zeros(1, int), np.zeros(1))
    with pytest.raises(ValueError, match=r"coverage: found .*; expected above 0 and below 1"):
        PredictionSets.calibrate(films, coverage)

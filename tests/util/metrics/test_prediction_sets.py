"""What is measured of prediction sets: each patient counts once."""

import json

import numpy as np
import pytest

from tests.helpers.world import coverage, names, outside, population
from util.metrics.conformal import PredictionSets
from util.metrics.prediction_sets import (
    coverage_by_group,
    falls_short,
    measure_sets,
    share_of_patients,
)

CLASSES = ["a", "b", "c"]
SETS = PredictionSets(0.8, np.array([30, 20, 3]), np.array([0.5, 0.3, 0.0]))
# Sets: a c, c, b c, a c, a b c; the first three are one patient's
P = np.array([[0.7, 0.2, 0.1], [0.4, 0.2, 0.4], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2], [0.5, 0.4, 0.1]])
TARGETS, PATIENTS = np.array([0, 0, 0, 0, 1]), np.array(["p", "p", "p", "q", "r"])


def test_a_patient_counts_once_however_many_films_there_are():
    found = measure_sets(SETS, P, TARGETS, PATIENTS, CLASSES)
    a = found["classes"]["a"]
    assert (a["images"], a["patients"], a["calibrated_on"], a["threshold"]) == (4, 2, 30, 0.5)
    assert a["covered"]["value"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["size"]["value"] == pytest.approx((5 / 3 + 2 + 3) / 3)
    assert found["single"]["value"] == pytest.approx((1 / 3 + 0 + 0) / 3)
    assert found["full"]["value"] == pytest.approx(1 / 3)
    assert found["empty"]["value"] == 0 < found["empty"]["high"]
    json.dumps(found)


def test_a_class_of_too_few_patients_has_no_threshold_and_one_without_images_no_coverage():
    found = measure_sets(SETS, P, TARGETS, PATIENTS, CLASSES)["classes"]["c"]
    assert (found["threshold"], found["calibrated_on"], found["images"]) == (None, 3, 0)
    assert found["covered"] == {"value": None, "low": None, "high": None}


def test_decided_is_what_abstain_decides_and_its_error_is_of_that():
    sets = PredictionSets(0.8, np.array([30, 20, 20]), np.array([0.5, 0.3, 0.15]))
    chances = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.44, 0.28, 0.28], [0.5, 0.4, 0.1]])
    # Decided, decided, the set is c, which is not the likeliest, and two classes.
    found = measure_sets(sets, chances, np.array([0, 0, 2, 0]), np.array(names(4)), CLASSES)
    assert (found["single"]["value"], found["decided"]["value"]) == (0.75, 0.5)
    assert found["error_of_decided"]["value"] == 0.5


def test_subgroups_add_up_and_a_blank_value_is_unknown():
    views = np.array(["PA", "", "PA", "AP", "AP"])
    found = coverage_by_group(SETS, P, {"view": views}, TARGETS, PATIENTS)["view"]
    assert set(found) == {"PA", "AP", "unknown"}
    assert sum(group["images"] for group in found.values()) == 5
    assert found["PA"]["covered"]["value"] == 0.5
    assert found["unknown"]["covered"]["value"] == 0


@pytest.mark.parametrize(("missed", "said"), [(2, 0), (20, 1)])
def test_a_class_that_is_shown_to_be_covered_less_than_wished_is_named(missed, said):
    chances = np.repeat([[0.9, 0.1, 0.0]], 30, axis=0)
    chances[:missed] = [0.1, 0.9, 0.0]
    measured = measure_sets(SETS, chances, np.zeros(30, int), np.array(names(30)), CLASSES)
    sentences = falls_short(measured)
    assert len(sentences) == said
    if said:
        assert sentences[0].startswith("a: 0.33 (")
        assert "where 0.8 was wished" in sentences[0]
        assert "than the 30 of the calibration" in sentences[0]


def test_intervals_hold_the_truth_in_95_of_100_samples():
    sets = PredictionSets(0.8, np.array([30, 30, 30]), np.array([0.4, 0.3, 0.3]))

    def report(seed, patients):
        chances, targets, patients = population(seed, patients, signal=1.5)
        own = targets == 1
        return {"covered": share_of_patients(sets.of(chances)[own, 1], patients[own])}

    found = coverage(report)
    assert not outside(found), found

"""The source of an image, read off the features within one class."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from util.shortcuts.linear_probe import FEWEST_PATIENTS, FIT, FOLDS, source_in_features


def people(**numbers):
    """Sources and patients, two images each, of so many patients of each source."""
    patients = np.repeat([f"{name}:{k}" for name, n in numbers.items() for k in range(n)], 2)
    return np.array([name.split(":")[0] for name in patients]), patients


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def probe(features, sources, patients, **settings):
    targets = np.zeros(len(features), int)
    return source_in_features(features, sources, targets, patients, ["normal"], **settings)[
        "normal"
    ]


def test_features_that_hold_the_source_are_found_out():
    sources, patients = people(a=20, b=10)
    features = noise(60, 16) + 3 * (sources == "a")[:, None]
    found = probe(features, sources, patients)
    assert found["auroc"]["value"] > 0.99
    assert found["auroc"]["low"] > 0.5
    assert (found["images"], found["sources"]) == (60, {"a": 40, "b": 20})


def test_features_that_hold_nothing_are_at_chance():
    sources, patients = people(a=40, b=30)
    auroc = probe(noise(140, 16), sources, patients)["auroc"]
    assert auroc["low"] < 0.5 < auroc["high"]


def test_of_features_that_hold_nothing_19_of_20_intervals_have_chance():
    sources, patients = people(a=14, b=10)
    found = [probe(noise(48, 12, seed=k), sources, patients, seed=k)["auroc"] for k in range(40)]
    assert sum(auroc["low"] <= 0.5 <= auroc["high"] for auroc in found) >= 37


def test_a_patient_that_is_known_again_is_no_source_that_is_known():
    sources, patients = people(a=30, b=30)
    features = np.repeat(noise(60, 512), 2, axis=0)  # both images of a patient are alike
    auroc = probe(features, sources, patients)["auroc"]
    assert auroc["low"] < 0.5 < auroc["high"]
    each_alone = np.arange(120).astype(str)  # as if no two were of one patient
    assert probe(features, sources, each_alone)["auroc"]["value"] > 0.9


def test_the_auroc_is_scikit_learns_over_images_of_patients_left_out():
    sources, patients = people(a=12, b=7)
    features = noise(38, 16) + 0.7 * (sources == "a")[:, None]
    chances = np.zeros(38)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=3)
    for fit, test in folds.split(features, sources == "b", patients):
        scale = StandardScaler().fit(features[fit])
        model = LogisticRegression(C=FIT, class_weight="balanced")
        model.fit(scale.transform(features[fit]), sources[fit] == "b")
        chances[test] = model.predict_proba(scale.transform(features[test]))[:, 1]
    found = probe(features, sources, patients, seed=3)["auroc"]
    assert found["value"] == pytest.approx(roc_auc_score(sources == "b", chances), abs=1e-6)
    assert 0 <= found["low"] < found["value"] < found["high"] <= 1


def test_what_differs_between_classes_does_not_count():
    sources, patients = people(a=20, b=20)
    targets = np.arange(80) % 2
    sources = np.where((np.arange(80) % 20 < 4) ^ (targets == 1), "a", "b")  # goes with the class
    patients = np.array([f"{name}-{k // 2}" for k, name in enumerate(sources)])
    features = noise(80, 4) + 5 * targets[:, None]
    found = source_in_features(features, sources, targets, patients, ["normal", "ill"])
    for name in ("normal", "ill"):
        assert found[name]["auroc"]["low"] < 0.5 < found[name]["auroc"]["high"]


def test_of_three_sources_each_stands_against_the_rest():
    sources, patients = people(a=12, b=12, c=12)
    features = noise(72, 8)
    features[:, 0] += 8 * (sources == "a")
    features[:, 1] += 8 * (sources == "b")
    assert probe(features, sources, patients)["auroc"]["value"] > 0.95


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"a": 30}, "found a 30"),
        ({"a": 30, "b": FEWEST_PATIENTS - 1}, f"found a 30, b {FEWEST_PATIENTS - 1}"),
    ],
)
def test_too_few_patients_give_the_reason_and_no_number(numbers, said):
    sources, patients = people(**numbers)
    found = probe(noise(len(sources), 8), sources, patients)
    assert found["auroc"] == {"value": None, "low": None, "high": None}
    assert said in found["how"]
    assert found["images"] == 0


def test_a_source_of_few_patients_is_left_out_of_three():
    sources, patients = people(a=10, b=10, c=1)
    found = probe(noise(42, 8), sources, patients)
    assert found["images"] == 40
    assert found["sources"] == {"a": 20, "b": 20, "c": 2}
    assert found["auroc"]["value"] is not None


def test_a_class_without_images_has_no_number():
    found = source_in_features(np.zeros((0, 8)), [], [], [], ["normal"])
    assert found["normal"]["auroc"]["value"] is None
    assert "found none" in found["normal"]["how"]


def test_the_same_seed_gives_the_same_number():
    sources, patients = people(a=9, b=8)
    features = noise(34, 8)
    first, again, other = (probe(features, sources, patients, seed=k) for k in (1, 1, 2))
    assert first == again
    assert first != other

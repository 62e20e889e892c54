"""Which labels out-of-fold predictions doubt most."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from tests.helpers.networks import CLASSES
from util.metrics.label_doubt import by_patient, label_doubt, suspects


def out_of_fold(logits, truth, fold, **more):
    table = pd.DataFrame({"fold": fold, "truth": truth, "label": truth, **more})
    for kind, values in (("logit", logits), ("p", softmax(logits, axis=1))):
        table[[f"{kind}({name})" for name in CLASSES]] = values
    return table


@pytest.fixture
def flipped():
    """300 images of five folds, whose first 15 labels are wrong."""
    draw = np.random.default_rng(3)
    targets = draw.integers(3, size=300)
    logits = draw.normal(size=(300, 3)) + 3 * np.eye(3)[targets]
    labels = np.where(np.arange(300) < 15, (targets + 1) % 3, targets)
    sources = np.where(np.arange(300) % 2, "a", "b")
    fold = np.arange(300) % 5
    return out_of_fold(logits, np.array(CLASSES)[labels], fold, source=sources, patient_id="x")


def test_the_doubt_is_the_margin_of_another_class_in_deviations_of_its_fold():
    logits = np.random.default_rng(0).normal(size=(12, 3))
    truth = ["normal", "COVID-19", "pneumonia", "normal"] * 3
    folds, sources = np.repeat([1, 2, 3], 4), np.array(["a", "a", "b", "b"] * 3)
    sources[0] = "c"  # is in one fold only, so that it says nothing
    table = out_of_fold(logits, truth, folds, source=sources)
    margins = np.empty(12)
    for k, own in enumerate(map(CLASSES.index, truth)):
        others = folds != folds[k]
        of_all = np.array([sum(np.array(truth)[others] == name) + 1 for name in CLASSES]) / 11
        there = [sum(np.array(truth)[others & (sources == sources[k])] == name) for name in CLASSES]
        here = (there + 3 * of_all) / (sum(there) + 3)
        odds = logits[k] + np.log(here / of_all)
        margins[k] = np.delete(odds, own).max() - odds[own]
    of_fold = margins.reshape(3, 4)
    expected = (of_fold - of_fold.mean(1, keepdims=True)) / of_fold.std(1, ddof=1, keepdims=True)
    assert label_doubt(table, CLASSES) == pytest.approx(expected.ravel())


def test_a_class_without_an_image_leaves_the_doubt_finite(flipped):
    without = flipped[flipped["truth"] != "COVID-19"]
    assert np.isfinite(label_doubt(without, CLASSES)).all()


def test_flipped_labels_are_doubted_most(flipped):
    found = suspects(flipped, CLASSES)
    assert sum(k < 15 for k in found.index[:15]) >= 13


def test_a_fold_whose_network_is_surer_of_itself_is_not_doubted_more(flipped):
    before = suspects(flipped, CLASSES)["fold"][:30].value_counts()
    names = [f"logit({name})" for name in CLASSES]
    flipped.loc[flipped["fold"] == 2, names] *= 4
    after = suspects(flipped, CLASSES)["fold"][:30].value_counts()
    assert abs(after[2] - before[2]) <= 1


def test_a_label_that_the_source_has_in_no_other_fold_is_doubted_more(flipped):
    flipped["source"] = "a"
    odd = flipped.index[(flipped["truth"] == "COVID-19") & (flipped.index >= 15)]
    doubt = label_doubt(flipped, CLASSES)
    normal = flipped.index[flipped["truth"] == "normal"]
    flipped.loc[normal.append(odd[:1]), "source"] = "b"
    moved = label_doubt(flipped, CLASSES)
    assert moved[odd[0]] > doubt[odd[0]] + 1
    assert moved[normal].mean() < doubt[normal].mean()


def test_suspects_are_named_otherwise_than_their_label_the_most_doubted_first(flipped):
    found = suspects(flipped, CLASSES)
    named = flipped[[f"p({name})" for name in CLASSES]].to_numpy().argmax(1)
    assert set(found.index) == {*np.flatnonzero(np.array(CLASSES)[named] != flipped["truth"])}
    assert found["doubt"].is_monotonic_decreasing
    assert list(found["predicted"]) == [CLASSES[named[k]] for k in found.index]
    for k, row in found.iterrows():
        assert row["probability"] == flipped.loc[k, f"p({row['predicted']})"]
        assert (
            row["alike"]
            == ((flipped["label"] == row["label"]) & (flipped["source"] == row["source"])).sum()
        )


def test_films_of_a_patient_stand_together_at_the_place_of_the_most_doubted():
    found = pd.DataFrame({"patient_id": ["b", "a", "b", "c", "a"], "film": [1, 2, 3, 4, 5]})
    assert list(by_patient(found)["film"]) == [1, 3, 2, 5, 4]
    assert by_patient(found[:0]).empty

import json
from itertools import combinations, product

import numpy as np
import pytest

from tests.helpers.networks import CLASSES
from tests.helpers.world import coverage, names, of_sources, outside, population
from util.metrics import within_source as module
from util.metrics.ranking import auroc
from util.metrics.within_source import (
    fewest_patients,
    odds,
    strata,
    stratified_auroc,
    within_source,
    within_source_auroc,
)

NOTHING = {"value": None, "low": None, "high": None}


def random_table(seed: int, n: int = 60):
    """Scores (n, 3), small whole numbers with ties, so that their odds have exact ties, too;
    sources and targets (n,), and weights (n,) of 0 to 3."""
    generator = np.random.default_rng(seed)
    targets, sources = generator.integers(3, size=n), generator.choice(["a", "b", "c"], n)
    scores = generator.integers(1, 4, (n, 3)) + np.eye(3, dtype=int)[targets]
    weights = generator.integers(0, 4, n).astype(float)
    return scores, sources, targets, weights


# ---- Agreement with a count over pairs ----


def counted(ahead, first, second, sources, weights):
    """Concordant pairs over pairs; ahead: (i, j) -> 1, 1/2 or 0."""
    won = pairs = 0.0
    for i, j in product(np.flatnonzero(first), np.flatnonzero(second)):
        if sources[i] == sources[j]:
            pairs += weights[i] * weights[j]
            won += weights[i] * weights[j] * ahead(i, j)
    return won / pairs


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_a_count_over_pairs(seed):
    table, sources, targets, weights = random_table(seed)
    whole = within_source(table, sources, targets, names(60), CLASSES)
    found = whole["comparisons"]

    def by_probability(k):
        return lambda i, j: (1 + np.sign(table[i, k] - table[j, k])) / 2

    def by_odds(a, b):
        """Without a division."""
        one, other = table[:, a], table[:, b]
        return lambda i, j: (1 + np.sign(one[i] * other[j] - one[j] * other[i])) / 2

    ones, values = np.ones(60), []
    for k, label in enumerate(CLASSES):
        expected = counted(by_probability(k), targets == k, targets != k, sources, ones)
        assert found[f"{label} against the rest"]["auroc"]["value"] == pytest.approx(expected)
        values.append(expected)
        weighted = strata(table[:, k], targets == k, targets != k, sources)
        expected = counted(by_probability(k), targets == k, targets != k, sources, weights)
        stacked = np.stack([weights, 2 * weights, ones])  # (3, n)
        areas = stratified_auroc(weighted, stacked)
        assert areas == pytest.approx([expected, expected, values[-1]])
    assert whole["macro_auroc"]["value"] == pytest.approx(np.mean(values))
    assert within_source_auroc(table, targets, sources) == pytest.approx(np.mean(values))
    for a, b in combinations(range(3), 2):
        expected = counted(by_odds(a, b), targets == a, targets == b, sources, ones)
        entry = found[f"{CLASSES[a]} against {CLASSES[b]}"]
        assert entry["auroc"]["value"] == pytest.approx(expected)


def test_of_one_source_it_is_the_auroc():
    table, _, targets, _ = random_table(0)
    found = within_source(table, ["rsna"] * 60, targets, names(60), CLASSES)["comparisons"]
    values = [found[f"{label} against the rest"]["auroc"]["value"] for label in CLASSES]
    assert values == pytest.approx(auroc(table, targets))


def test_two_classes_are_one_pair():
    _, sources, targets, _ = random_table(0)
    table = np.random.default_rng(0).dirichlet([1, 1], 60)
    found = within_source(table, sources, targets % 2, names(60), ["no", "yes"])
    assert list(found["comparisons"]) == ["no against the rest", "yes against the rest"]
    one, other = (entry["auroc"]["value"] for entry in found["comparisons"].values())
    assert found["macro_auroc"]["value"] == pytest.approx(one) == pytest.approx(other)


# ---- What it is for ----


def test_a_network_that_reads_only_the_source_has_a_half_and_an_honest_one_keeps_its_score():
    _, sources, targets, _ = of_sources(0, 3000)
    mixtures = {name: np.bincount(targets[sources == name], minlength=3) for name in set(sources)}
    cheat = np.array([mixtures[name] / mixtures[name].sum() for name in sources])
    assert auroc(cheat, targets).mean() > 0.65
    assert within_source_auroc(cheat, targets, sources) == 0.5
    honest, _, _ = population(0, 3000, signal=1.5)
    score = auroc(honest, targets).mean()
    assert within_source_auroc(honest, targets, sources) == pytest.approx(score, abs=0.01)
    both, *_ = of_sources(0, 3000)  # sees the patient and the source: what it is ahead by goes
    assert auroc(both, targets).mean() > score + 0.005
    assert within_source_auroc(both, targets, sources) == pytest.approx(score, abs=0.02)


def test_images_patients_and_pairs_are_those_of_the_sources_that_have_both():
    #          both                 both       only normal   only COVID-19
    sources = ["a"] * 5 + ["b"] * 2 + ["c"] * 2 + ["d"]
    targets = np.array([0, 0, 0, 2, 2, 0, 2, 0, 0, 2])
    patients = ["1", "1", "2", "3", "3", "4", "4", "5", "6", "7"]
    table = np.full((10, 3), 1 / 3)
    found = within_source(table, sources, targets, patients, CLASSES)
    pairs = found["comparisons"]
    pair = pairs["normal against COVID-19"]
    counts = {"images": 7, "patients": 4, "pairs": 7, "sources": ["a", "b"]}
    assert pair == {"auroc": pair["auroc"], **counts}
    assert pairs["COVID-19 against the rest"] == pairs["normal against the rest"] == pair
    nothing = {"auroc": NOTHING, "images": 0, "patients": 0, "pairs": 0, "sources": []}
    assert pairs["pneumonia against the rest"] == nothing
    assert pairs["normal against pneumonia"] == nothing
    assert pair["auroc"]["value"] == found["macro_auroc"]["value"] == 0.5
    # The smaller side: one patient in a, one in b.
    assert fewest_patients(targets, np.array(sources), np.array(patients), 3) == 2
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_where_no_source_has_two_classes_nothing_is_defined():
    table, _, targets, _ = random_table(1)
    sources = targets.astype(str)
    found = within_source(table, sources, targets, names(60), CLASSES)
    assert found["macro_auroc"] == NOTHING
    assert np.isnan(within_source_auroc(table, targets, sources))
    assert fewest_patients(targets, sources, np.array(names(60)), 3) == 0


def test_odds_order_what_is_next_to_certain():
    a, b = np.array([1, 1, 1, 0.5, 0, 0.0]), np.array([0, 1e-300, 1e-20, 0.5, 0, 1])
    assert list(np.argsort(-odds(a, b), kind="stable")) == [0, 1, 2, 3, 4, 5]
    assert odds(a, b)[3] == odds(a, b)[4] == 1


def test_the_seed_fixes_the_intervals():
    table, sources, targets, _ = random_table(2)
    words = table, sources, targets, names(60), CLASSES
    assert within_source(*words, seed=1) == within_source(*words, seed=1)
    assert within_source(*words, seed=1) != within_source(*words, seed=2)


def test_a_wrong_number_of_sources_is_named():
    table, _, targets, _ = random_table(0)
    with pytest.raises(ValueError, match="sources: 3 names; expected 60, one per image"):
        within_source(table, ["a"] * 3, targets, names(60), CLASSES)


def test_intervals_hold_the_truth_in_93_to_97_of_100_samples(monkeypatch):
    def report(seed: int, patients: int) -> dict:
        # In place of 1,000. Of the truth no interval is asked.
        monkeypatch.setattr(module, "DRAWS", 100 if patients < 1000 else 1)
        return within_source(*of_sources(seed, patients), CLASSES)

    found = coverage(report, patients=120)
    assert outside(found) == {}

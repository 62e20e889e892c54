import numpy as np
import pytest
from sklearn import metrics as sklearn

from util.metrics.ranking import auroc, average_precision, rank_scores


def random_scores(seed: int, n: int = 120):
    """Scores (n, 3) with many ties and targets (n,)."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(3, size=n)
    scores = np.round(generator.random((n, 3)), 1)
    scores[np.arange(n), targets] += np.round(generator.random(n), 1)
    return scores, targets


# ---- Agreement with scikit-learn ----


@pytest.mark.parametrize("seed", range(10))
def test_rankings_agree_with_scikit_learn(seed):
    scores, targets = random_scores(seed)
    areas, precisions = auroc(scores, targets), average_precision(scores, targets)
    for k in range(3):
        positive = targets == k
        expected = sklearn.roc_auc_score(positive, scores[:, k])
        assert areas[k] == pytest.approx(expected, abs=1e-6)
        expected = sklearn.average_precision_score(positive, scores[:, k])
        assert precisions[k] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_rankings_agree_with_scikit_learn(seed):
    scores, targets = random_scores(seed)
    weights = np.random.default_rng(seed).integers(0, 4, size=(6, len(targets))).astype(float)
    areas, precisions = rank_scores(scores, targets, weights)
    for row, area, precise in zip(weights, areas, precisions, strict=True):
        for k in range(3):
            table = {"y_true": targets == k, "y_score": scores[:, k], "sample_weight": row}
            assert area[k] == pytest.approx(sklearn.roc_auc_score(**table), abs=1e-6)
            expected = sklearn.average_precision_score(**table)
            assert precise[k] == pytest.approx(expected, abs=1e-6)


# ---- Behaviour ----


@pytest.mark.parametrize(
    ("scores", "positive", "area", "precise"),
    [
        ([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0], 1, 1),
        ([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1], 0, (1 / 3 + 2 / 4) / 2),
        ([0.9, 0.8, 0.2, 0.1], [1, 0, 1, 0], 3 / 4, (1 + 2 / 3) / 2),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 1 / 2, 1 / 4),
        ([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0], np.nan, np.nan),
        ([0.5, 0.4, 0.3, 0.2], [1, 1, 1, 1], np.nan, 1),
    ],
)
def test_rankings_of_four_images(scores, positive, area, precise):
    table = np.array(scores)[:, None], 1 - np.array(positive)
    assert auroc(*table) == pytest.approx([area], nan_ok=True)
    assert average_precision(*table) == pytest.approx([precise], nan_ok=True)


def test_a_ranking_by_chance_has_the_share_of_the_class():
    generator = np.random.default_rng(0)
    targets = (generator.random(20_000) > 0.1).astype(int)
    scores = generator.random((20_000, 2))
    assert average_precision(scores, targets) == pytest.approx([0.1, 0.9], abs=0.01)

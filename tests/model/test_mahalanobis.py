"""How far is far: the distance agrees with scipy's, and the limit holds for points not seen."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from model.mahalanobis import AXES, SHRINK, Mahalanobis


def points(n, width=20, seed=0):
    """Correlated ones, as features are."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(width).normal(size=(width, width)) * np.geomspace(3, 0.1, width)
    return torch.from_numpy(3 + rng.normal(size=(n, width)) @ mixing.T).float()


@pytest.mark.parametrize("width", [20, AXES, AXES + 60])
def test_the_distance_is_that_of_mahalanobis_with_the_shrunken_covariance(width):
    seen, new = points(400, width), points(5, width, seed=1)
    covariance = np.cov(seen.double().numpy().T, bias=True)
    variances, axes = np.linalg.eigh(covariance)
    weak = slice(0, max(0, width - AXES))
    variances[weak] = variances[weak].mean() if width > AXES else 0
    variances += SHRINK * np.trace(covariance) / width
    inverse = np.linalg.inv(axes * variances @ axes.T)
    mean = seen.double().numpy().mean(0)
    expected = [mahalanobis(point, mean, inverse) / width**0.5 for point in new.double().numpy()]
    assert Mahalanobis.around(seen).distance(new).numpy() == pytest.approx(expected, rel=1e-4)


def alarms(made_of, alarms, width, copies=1, draws=30):
    """The mean part of 500 new points that lies beyond the limit of so many."""
    parts = []
    for seed in range(draws):
        people = points(made_of // copies, width, seed).repeat_interleave(copies, 0)
        noise = torch.from_numpy(np.random.default_rng(seed).normal(size=people.shape)).float()
        fitted = Mahalanobis.fit(people + 0.05 * noise, alarms)
        new = fitted.distance(points(500, width, 1000 + seed))
        parts.append((new > fitted.limit).float().mean().item())
    return np.mean(parts)


def test_of_new_points_the_asked_part_lies_outside():
    # 100 points of 60 values: against themselves they would all be near.
    assert 0.03 < alarms(100, 0.05, width=60) < 0.06
    assert 0.01 < alarms(400, 0.02, width=20) < 0.025


def test_neighbours_that_are_alike_do_not_vouch_for_each_other():
    assert alarms(200, 0.05, width=60, copies=2) < 0.07


def test_from_few_points_nothing_is_said():
    assert Mahalanobis.fit(points(48), 0.02) is None
    assert Mahalanobis.fit(points(49), 0.02) is not None
    assert Mahalanobis.fit(points(98), 0.01) is None
    assert Mahalanobis.fit(points(0), 0.01) is None


def test_of_one_point_again_and_again_only_others_lie_outside():
    same = torch.full((100, 20), 0.3)
    fitted = Mahalanobis.fit(same, 0.02)
    assert (fitted.distance(same) <= fitted.limit).all()
    assert fitted.distance(same[:1] + 0.01) > fitted.limit


def test_points_of_another_width_are_an_error():
    with pytest.raises(ValueError, match=r"points: found \(5, 21\); expected \(N, 20\)"):
        Mahalanobis.fit(points(100), 0.02).distance(points(5, 21))

"""How far a point is from points seen before, and beyond what distance it is unlike them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

AXES = 100  # the strongest; of 512 features they take 0.2 MB
SHRINK = 0.3  # of the mean variance, added to all: a few hundred images do not know the small ones
FOLDS = 10  # of the points; the distance of each is to the other nine


@dataclass(frozen=True)
class Mahalanobis:
    """The distance to points that were seen, and the limit beyond which a new one is unlike them.

    All axes below the strongest are taken to have one variance (Tipping & Bishop, Probabilistic
    principal component analysis, 1999), and the distance is divided by the root of the number of
    values: about 1 for a usual point.

    mean (D,); axes (k, D) orthonormal; variances (k,) along them; rest: the variance along all
    others; share: the part of new points of the same kind that lies within the limit, or more.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor
    rest: float
    limit: float = math.inf
    share: float = 1.0

    @classmethod
    def fit(cls, points: Tensor, alarms: float) -> "Mahalanobis | None":
        """Of finite points (N, D) in an order in which those that are alike, as the images of one
        patient, are neighbours.

        A point is nearer to points of which it is one than a new one is. So each is measured
        against the nine other tenths, and the limit is such that of new points the part
        `alarms` or less lies beyond (conformal prediction, Vovk et al. 2005). None where they are
        too few to say so: below 49 for a part of 0.02, below 99 for 0.01.
        """
        n = len(points)
        rank = math.ceil((n + 1) * (1 - alarms))  # of the limit among the N distances, from 1
        if rank > n:
            return None
        fold = torch.arange(n) * FOLDS // n
        distances = torch.cat(
            [cls.around(points[fold != k]).distance(points[fold == k]) for k in range(FOLDS)]
        )
        limit = distances.sort().values[rank - 1].item()
        return cls(**{**vars(cls.around(points)), "limit": limit, "share": 1 - alarms})

    @classmethod
    def around(cls, points: Tensor) -> "Mahalanobis":
        """Of points (N, D), without a limit."""
        points = points.double()
        mean = points.mean(0)
        variances, axes = torch.linalg.eigh(torch.cov(points.T, correction=0))
        variances, axes = variances.flip(0).clamp(min=0), axes.T.flip(0)  # the strongest first
        # Where all points are alike, rounding must not count as a distance.
        floor = SHRINK * variances.mean() + torch.finfo(torch.float32).eps * mean.square().mean()
        rest = variances[AXES:].mean() if len(variances) > AXES else 0
        along = (variances[:AXES] + floor).float()
        return cls(mean.float(), axes[:AXES].float().contiguous(), along, float(rest + floor))

    def distance(self, points: Tensor) -> Tensor:
        """(N, D) -> (N,); ValueError for points of another D."""
        if points.shape[1:] != self.mean.shape:
            raise ValueError(
                f"points: found {tuple(points.shape)}; expected (N, {len(self.mean)}), like those"
                " that it was fitted to"
            )
        away = points.float() - self.mean
        along = away @ self.axes.T
        beside = (away.square().sum(1) - along.square().sum(1)).clamp(min=0)
        squared = (along.square() / self.variances).sum(1) + beside / self.rest
        return (squared / len(self.mean)).sqrt()

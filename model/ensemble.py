"""The networks of the folds as one: the mean of their logits, each over its temperature.

Deep ensembles (Lakshminarayanan et al., NeurIPS 2017) of networks that saw other patients. A mean
of linear heads is linear in the maps of all networks, so that the ensemble is one network, whose
last convolution is as wide as theirs together: features, heat maps and variants are as for any.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.covidnext50 import COVIDNext50
from model.gate import Gate
from model.layers import Block
from model.mahalanobis import Mahalanobis
from util.training.folds import OUT_OF_FOLD

ALIKE = ("mapping", "input", "fingerprint", "test_time_augmentation")  # in all folds of a run


class Ensemble(nn.Module):
    """K networks of one input format: the maps and the head that `model.inference.examine` takes.

    temperatures: what each one's logits are divided by.
    """

    def __init__(self, networks: Sequence[COVIDNext50], temperatures: Sequence[float]):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        heads = [network.logits.module for network in networks]
        shares = [1 / (len(heads) * temperature) for temperature in temperatures]
        parts = [[s * head.weight, s * head.bias] for s, head in zip(shares, heads, strict=True)]
        weights, biases = zip(*parts, strict=True)
        head = nn.Linear(sum(head.in_features for head in heads), heads[0].out_features)
        head.weight = nn.Parameter(torch.cat(weights, dim=1))
        head.bias = nn.Parameter(torch.stack(biases).sum(0))
        self.logits = Block(head.requires_grad_(False))

    def maps(self, x: Tensor) -> Tensor:
        """The last convolutions' outputs, (N, K * 512, H/32, W/32)."""
        return torch.cat([network.maps(x) for network in self.networks], dim=1)


@dataclass(frozen=True)
class MedianDistance:
    """A `Mahalanobis` of several that are asked alike, each about the points or its own columns.

    The distance is the one that most of them exceed or see, each over its limit: their median, or
    of an even number the lower of the two. Beyond 1 most doubt a point.
    """

    parts: Sequence[Mahalanobis]
    limit: float = 1.0

    @classmethod
    def of(cls, parts: Sequence[Mahalanobis | None]) -> "MedianDistance | None":
        """None where one of the networks had too few images to know."""
        return cls(parts) if all(parts) else None

    @property
    def share(self) -> float:
        return min(part.share for part in self.parts)

    def distance(self, points: Tensor) -> Tensor:
        """(N, D) or (N, K * D) -> (N,)"""
        shared = points.shape[1] == len(self.parts[0].mean)
        own = [points] * len(self.parts) if shared else points.chunk(len(self.parts), dim=1)
        distances = [
            part.distance(columns) / part.limit
            for part, columns in zip(self.parts, own, strict=True)
        ]
        most = len(distances) // 2 + 1
        return torch.stack(distances).topk(most, dim=0).values[-1]  # ONNX has no median


def joined(
    path: Path, checkpoints: Sequence[dict[str, Any]], networks: Sequence[COVIDNext50]
) -> tuple[dict[str, Any], Ensemble, Gate]:
    """The folds of a run as one: what its checkpoint would say, its network and its gate.

    path: the folder of the run. The temperature is 1, as each fold's logits are over its own. The
    validation are the out-of-fold predictions, None where the run has not written them yet.
    ValueError unless all folds have ended, and are of one run.
    """
    from util.training.out_of_fold import out_of_fold_validation  # pandas, which nothing else needs

    first = checkpoints[0]
    number = _number_of_folds(path, [str(each["config"].get("fold")) for each in checkpoints])
    ended = sum(each["validation"] is not None for each in checkpoints)
    if ended < number:
        raise ValueError(
            f"{path}: found {ended} of {number} folds that have ended; expected all of them. Go on"
            f" with train.py --name {path.resolve().name} --resume"
        )
    for each in checkpoints:
        if other := next((name for name in ALIKE if each[name] != first[name]), None):
            raise ValueError(
                f"{path}: found another {other} in {each['config']['name']} than in"
                f" {first['config']['name']}; expected folds of one run"
            )
    temperatures = [each["temperature"] for each in checkpoints]
    gates = [Gate.of(each["gate"]) for each in checkpoints]
    gate = Gate(
        MedianDistance.of([each.edges for each in gates]),
        MedianDistance.of([each.features for each in gates]),
    )
    name = path.resolve().name
    about = first | {
        "config": first["config"] | {"name": name, "folds": number, "fold": None},
        "epoch": None,
        "metrics": {},
        "prior": np.mean([each["prior"] for each in checkpoints], axis=0).tolist(),
        "sources": _mean_counts([each["sources"] or {} for each in checkpoints]),
        "started_from": joined_trainings(each["started_from"] for each in checkpoints) or None,
        "parameters": sum(each["parameters"] for each in checkpoints),
        "temperature": 1.0,
        "validation": out_of_fold_validation(path / OUT_OF_FOLD, first["mapping"]),
    }
    return about, Ensemble(networks, temperatures).eval(), gate


def _number_of_folds(path: Path, folds: Sequence[str]) -> int:
    """folds: which one each network is, such as 2/5. ValueError unless they are of one cut."""
    of = {fold.partition("/")[2] for fold in folds}
    if len(of) > 1 or "" in of or len(set(folds)) < len(folds):
        raise ValueError(
            f"{path}: found networks of the folds {', '.join(folds)}; expected those of one run of"
            " train.py --folds, each once"
        )
    return int(*of)


def _mean_counts(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for each in counts for name in each)
    return {n: round(sum(each.get(n, 0) for each in counts) / len(counts)) for n in names}


def joined_trainings(
    started_from: Iterable[Sequence[Mapping[str, Any]] | None],
) -> list[dict[str, Any]]:
    """`started_from` of each fold, alike but for the fold -> of all together, which are of no fold.
    Their images are counted by the mean."""
    trainings = []
    for same in zip(*(each or () for each in started_from), strict=False):
        counts = _mean_counts([each["sources"] or {} for each in same])
        config = {k: value for k, value in (same[0].get("config") or {}).items() if k != "fold"}
        trainings.append(same[0] | {"fold": None, "sources": counts, "config": config})
    return trainings

"""Muon: convolutions go along the orthogonal matrix that is nearest to their momentum."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

from util.device import pick_precision

MOMENTUM = 0.95
SIZE = 0.2  # root mean square of an update's elements before the rate, about that of AdamW's
ROUNDS = 5
QUINTIC = 3.4445, -4.7750, 2.0315  # of each round, chosen for a steep rise from 0


class Muon(AdamW):
    """Jordan et al., kellerjordan.github.io/posts/muon, 2024, in the scale of Liu et al.,
    arXiv:2502.16982, so that rates and weight decay mean what they mean to AdamW.

    Where the gradient speaks mostly of few directions of a layer, as it does, the others learn as
    much here. groups: as AdamW's; with `parts` of more than 0 they hold weights of convolutions,
    (out, in / parts, h, w), each of which is so many matrices: those of its groups. The rest, with
    `parts` 0, are AdamW's.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]], lr: float):
        # Not fused: then a step whose gradient does not fit float16 is left out as a whole.
        super().__init__(groups, lr=lr, fused=False)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            if group["parts"]:
                self._turn(group)
        super().step()

    def _turn(self, group: dict[str, Any]) -> None:
        """One step of the weights that have a gradient, which it takes from them."""
        alike: dict[torch.Size, list[Tensor]] = {}  # go through the rounds together
        for weight in group["params"]:
            if weight.grad is not None:
                alike.setdefault(weight.shape, []).append(weight)
        for shape, weights in alike.items():
            gradients = [weight.grad for weight in weights]
            means = [self._mean(weight) for weight in weights]
            torch._foreach_lerp_(means, gradients, 1 - MOMENTUM)
            ahead = torch.stack(torch._foreach_lerp(gradients, means, MOMENTUM))  # Nesterov's
            matrices = ahead.reshape(-1, shape[0] // group["parts"], shape[1:].numel())
            size = SIZE * max(matrices.shape[1:]) ** 0.5
            updates = orthogonal(matrices).reshape(ahead.shape).unbind()
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, updates, alpha=-group["lr"] * size)
            for weight in weights:
                weight.grad = None

    def _mean(self, weight: Tensor) -> Tensor:
        """Of its gradients. (`step` is what AdamW looks for when a state is loaded.)"""
        state = self.state[weight]
        if not state:
            state["step"], state["exp_avg"] = torch.zeros(()), torch.zeros_like(weight)
        return state["exp_avg"]


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, r, c), any scale -> nearly the closest ones whose rows or columns, the fewer, are
    orthonormal: their singular values are all within 0.6 and 1.3. Float32.

    Newton and Schulz's rounds, in bfloat16 where it is native: the result is rough in any case.
    """
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    wide = wide.to(pick_precision("auto", matrices.device))
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = wide @ wide.mT
        mix = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        wide = torch.baddbmm(wide, mix, wide, beta=a)
    wide = wide.float()
    return wide if matrices.shape[1] <= matrices.shape[2] else wide.mT

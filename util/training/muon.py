"""The Muon optimizer: a convolution moves along the orthogonal matrix nearest to its momentum."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW

MOMENTUM = 0.95
RMS = 0.2  # root mean square of an update's elements before the rate, about that of AdamW's
NEWTON_SCHULZ_STEPS = 5
QUINTIC = 3.4445, -4.7750, 2.0315  # of each of them: a steep rise from 0


class Muon(AdamW):
    """Jordan et al., kellerjordan.github.io/posts/muon, 2024, in the scale of Liu et al.,
    arXiv:2502.16982, so that learning rate and weight decay mean what they mean to AdamW.

    Most of a gradient lies in a few directions of a layer; an orthogonal step goes equally far in
    all of them. groups: as AdamW's; one with `conv_groups` above 0 holds the weights of
    convolutions of so many groups, (out, in / groups, h, w), each group a matrix of its own. dtype:
    of the matrix products, bfloat16 or float32. fused: as AdamW's; not with a scaled loss: Muon
    would then take its part of a step that AdamW leaves out as its gradient does not fit. (torch's
    own Muon, from 2.9 on, takes only matrices, one by one.)
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, dtype: torch.dtype, fused: bool):
        super().__init__(groups, lr=lr, fused=fused)
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            if group["conv_groups"]:
                self._orthogonal_step(group)
        super().step()

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        """Moves the weights that have a gradient and removes it, so that AdamW leaves them."""
        by_shape: dict[torch.Size, list[Tensor]] = {}  # one product for all of a shape
        for weight in group["params"]:
            if weight.grad is not None:
                by_shape.setdefault(weight.shape, []).append(weight)
        for shape, weights in by_shape.items():
            gradients = [weight.grad for weight in weights]
            momenta = [self._momentum(weight) for weight in weights]
            torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
            ahead = torch.stack(torch._foreach_lerp(gradients, momenta, MOMENTUM))  # Nesterov's
            matrices = ahead.reshape(-1, shape[0] // group["conv_groups"], shape[1:].numel())
            size = RMS * max(matrices.shape[1:]) ** 0.5
            updates = orthogonal(matrices, self.dtype).reshape(ahead.shape).unbind()
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, updates, alpha=-group["lr"] * size)
            for weight in weights:
                weight.grad = None

    def _momentum(self, weight: Tensor) -> Tensor:
        """The running mean of its gradients. (`step` is what AdamW looks for in a loaded state.)"""
        state = self.state[weight]
        if not state:
            state["step"], state["exp_avg"] = torch.zeros(()), torch.zeros_like(weight)
        return state["exp_avg"]


def orthogonal(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, r, c), any scale -> about the nearest ones whose rows or columns, the fewer, are
    orthonormal; float32.

    By Newton-Schulz iteration: singular values end between 0.6 and 1.2; those below about a
    hundredth of a matrix's norm stay smaller. The products are in `dtype`.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = (wide / wide.norm(dim=(1, 2), keepdim=True).clamp_min(1e-12)).to(dtype)
    a, b, c = QUINTIC
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = wide @ wide.mT
        mix = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        wide = torch.baddbmm(wide, mix, wide, beta=a)
    return wide.float().mT if tall else wide.float()

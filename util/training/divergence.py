"""Has a run diverged: a loss or weights that are not finite."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class DivergenceWatch:
    """The first step whose loss or weights were not finite, noted without waiting for the device.

    every: steps between two checks in an epoch, as a check waits.
    """

    def __init__(self, device: torch.device, every: int = 1):
        self.every = every
        self._first = torch.zeros((), dtype=torch.int64, device=device)

    def see(self, loss: Tensor | float, step: int) -> None:
        finite = torch.as_tensor(loss, device=self._first.device).isfinite()
        self._first += step * (~finite & (self._first == 0))

    @torch.no_grad()
    def see_weights(self, tensors: Iterable[Tensor], step: int) -> None:
        """Weights whose sum of squares is not finite count, too. Integers are left out."""
        self.see(nn.utils.get_total_norm([t for t in tensors if t.is_floating_point()]), step)

    def due(self, step: int) -> bool:
        return step % self.every == 0

    def first_bad(self) -> int:
        """The step, or 0 if there was none. Waits for the device."""
        return int(self._first)

"""Images -> logits, for validation, evaluation and prediction alike."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    batches: Iterable[Tensor],
    device: torch.device,
    normalise: Callable[[Tensor], Tensor],
    autocast: AbstractContextManager | None = None,
) -> Tensor:
    """The logits (N, n_classes) of all images of the batches, float32, in order, on the device.

    batches: (n, 1 or 3, H, W) uint8. normalise: makes the network's input of one, on the device.
    autocast: a context for lower precision; none is float32. Leaves the model in eval mode.
    """
    model.eval()
    logits = []
    for pixels in batches:
        images = normalise(pixels.to(device, non_blocking=True))
        with autocast or nullcontext():
            logits.append(model(images).float())
    return torch.cat(logits)

"""Images -> logits, for validation, evaluation and prediction alike."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    batches: Iterable[Tensor],
    device: torch.device,
    autocast: AbstractContextManager | None = None,
) -> Tensor:
    """The logits (N, n_classes) of all images of the batches, float32 on the CPU, in order.

    Leaves the model in eval mode. `autocast` is a context for lower precision; none is float32.
    """
    model.eval()
    logits = []
    for images in batches:
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        with autocast or nullcontext():
            logits.append(model(images).float())
    return torch.cat(logits).cpu()

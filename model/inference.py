"""Images -> logits, for validation, evaluation and prediction alike, and what led to them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from model.covidnext50 import COVIDNext50, pool
from model.grad_cam import grad_cam
from model.runtime import Examined
from model.test_time_augmentation import augmented_maps


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
    passes = _passes(lambda pixels: model(normalise(pixels)), batches, device, autocast)
    return torch.cat([logits.float() for logits in passes])


@torch.inference_mode()
def examine(
    model: COVIDNext50,
    batches: Iterable[Tensor],
    device: torch.device,
    normalise: Callable[[Tensor], Tensor],
    autocast: AbstractContextManager | None = None,
    augmented: bool = False,
) -> Examined:
    """The logits of `predict_logits`, with features and heat maps, from the same single pass.

    augmented: all of it with test-time augmentation, in six passes.
    """

    def maps_of(pixels: Tensor) -> Tensor:
        return model.maps(normalise(pixels))

    def forward(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = augmented_maps(maps_of, pixels) if augmented else maps_of(pixels)
        features = pool(maps)
        return maps, features, model.logits(features)

    model.eval()
    parts = [
        (logits.float(), features.float(), grad_cam(maps, logits, model.logits.module.weight))
        for maps, features, logits in _passes(forward, batches, device, autocast)
    ]
    return Examined(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _passes(
    forward: Callable[[Tensor], Tensor | tuple[Tensor, ...]],
    batches: Iterable[Tensor],
    device: torch.device,
    autocast: AbstractContextManager | None,
) -> Iterator[Tensor | tuple[Tensor, ...]]:
    """`forward` of each batch, on the device."""
    for pixels in batches:
        with autocast or nullcontext():
            outputs = forward(pixels.to(device, non_blocking=True))
        yield outputs

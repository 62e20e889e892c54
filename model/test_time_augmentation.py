"""Test-time augmentation: an image as it is, mirrored, and moved by a few pixels."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

# Pixels down and to the right: half of the step of 8 between two cells of the trunk's second stage,
# whose cells, and those of the later ones, then see other pixels.
MOVES = ((4, 0), (-4, 0), (0, 4), (0, -4))


def augmented_maps(maps_of: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """The mean of what `maps_of` makes of six variants of pixels (N, C, H, W): maps, float32.

    COVIDNext50's head is linear in the mean of each map, so that it makes the mean features and the
    mean logits of the variants out of these maps. AlexNet averaged ten crops of an image
    (Krizhevsky et al., NeurIPS 2012, section 4.1).
    """
    return mean_maps(maps_of(variant) for variant in variants(pixels))


def variants(pixels: Tensor) -> Iterator[Tensor]:
    """The images as they are, mirrored, and moved."""
    yield pixels
    yield pixels.flip(3)
    for down, right in MOVES:
        yield moved(pixels, down, right)


def mean_maps(maps: Iterable[Tensor]) -> Tensor:
    """Of the maps of each of `variants`. The mirror image's are mirrored back; those of the moved
    ones stay, an eighth of a cell aside."""
    plain, mirrored, *others = maps
    total = plain.float() + mirrored.flip(3).float()
    for each in others:
        total += each.float()
    return total / (2 + len(others))


def moved(pixels: Tensor, down: int, right: int) -> Tensor:
    """(N, C, H, W), black where nothing moved in, as in training."""
    height, width = pixels.shape[2:]
    to_rows, from_rows = _overlap(down, height), _overlap(-down, height)
    to_columns, from_columns = _overlap(right, width), _overlap(-right, width)
    result = torch.zeros_like(pixels)
    result[:, :, to_rows, to_columns] = pixels[:, :, from_rows, from_columns]
    return result


def _overlap(by: int, length: int) -> slice:
    """The part of a side that is still there when it is moved."""
    return slice(max(by, 0), length + min(by, 0))

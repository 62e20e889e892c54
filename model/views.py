"""Test-time augmentation: an image is seen as it is, mirrored, and moved by a few pixels."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import pad

# Pixels down and to the right: less than the smallest step between two cells of the trunk's later
# maps, so that each view falls into other cells.
MOVES = ((4, 0), (-4, 0), (0, 4), (0, -4))


def mean_maps(maps_of: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """The mean over six views of what `maps_of` makes of pixels (N, C, H, W): maps, float32.

    The mirror image's maps are mirrored back. The head of COVIDNext50 is linear in the mean of each
    map, so that its logits of these maps are the mean of the logits of the views, and features and
    heat maps are theirs, too. Ten crops of an image were seen like this by AlexNet (Krizhevsky et
    al., NeurIPS 2012, section 4.1).
    """
    total = maps_of(pixels).float() + maps_of(pixels.flip(3)).flip(3).float()
    for down, right in MOVES:
        total += maps_of(moved(pixels, down, right)).float()
    return total / (2 + len(MOVES))


def moved(pixels: Tensor, down: int, right: int) -> Tensor:
    """(N, C, H, W), black where nothing moved in, as in training."""
    return pad(pixels, (right, -right, down, -down))

"""Weights rounded so that what a convolution gives changes least, not each weight least."""

from collections.abc import Iterable
from functools import partial
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional

DAMPING = 0.01  # of the mean square of a channel: what few images do not show is not relied on
COLUMNS = 64  # rounded one by one before the rest is corrected for them


@torch.inference_mode()
def input_products(network: nn.Module, images: Iterable[Tensor]) -> dict[str, Tensor]:
    """What the convolutions see while the network runs over batches of images (N, 3, H, W).

    Name of the convolution -> (taps, groups, c, c): for each tap of the kernel the products of each
    two of the c channels of a group, summed over images and pixels. network: COVIDNext50 or an
    Ensemble, whose heads are not run.
    """
    products: dict[str, Tensor] = {}

    def add(conv: nn.Conv2d, inputs: tuple[Tensor], name: str) -> None:
        (side, _), (stride, _), (border, _) = conv.kernel_size, conv.stride, conv.padding
        x = functional.pad(inputs[0].float(), [border] * 4)
        x = x.unflatten(1, (conv.groups, -1)).permute(1, 0, 3, 4, 2)  # (groups, N, H, W, c)
        last = [size - side + 1 for size in x.shape[2:4]]  # behind the last place of a corner
        products[name] = products.get(name, 0) + torch.stack(
            [
                _squared(x[:, :, top : top + last[0] : stride, left : left + last[1] : stride])
                for top, left in product(range(side), repeat=2)
            ]
        )

    convolutions = [each for each in network.named_modules() if isinstance(each[1], nn.Conv2d)]
    hooks = [conv.register_forward_pre_hook(partial(add, name=name)) for name, conv in convolutions]
    for batch in images:
        network.maps(batch)
    for hook in hooks:
        hook.remove()
    return products


def _squared(x: Tensor) -> Tensor:
    """(groups, N, h, w, c) -> (groups, c, c)."""
    x = x.flatten(1, 3)
    return x.mT @ x


def round_weights(weight: Tensor, most: int, products: Tensor) -> Tensor:
    """Whole numbers from -most to most for weights (out, in / groups, h, w) of that range.

    What is lost in one input channel is made up for by the channels that are still to be rounded,
    as far as the images of `input_products` had both (GPTQ: Frantar et al., ICLR 2023,
    arXiv:2210.17323; here for each tap of a kernel on its own). products: of this convolution.
    """
    groups, channels = products.shape[1:3]
    left = weight.float().unflatten(0, (groups, -1)).flatten(3).permute(3, 0, 1, 2).clone()
    passed_on, numbers = _passed_on(products), torch.empty_like(left)  # (taps, groups, out, c)
    for start in range(0, channels, COLUMNS):
        stop = min(start + COLUMNS, channels)
        errors = left.new_empty(*left.shape[:3], stop - start)
        for j in range(start, stop):
            numbers[..., j] = left[..., j].round().clamp(-most, most)
            errors[..., j - start] = error = left[..., j] - numbers[..., j]
            left[..., j:stop] -= error[..., None] * passed_on[..., j, None, j:stop]
        left[..., stop:] -= errors @ passed_on[..., start:stop, stop:]
    return numbers.permute(1, 2, 3, 0).reshape(weight.shape)


def _passed_on(products: Tensor) -> Tensor:
    """Row j: what an error of 1 in channel j takes from those behind it; 1 on the diagonal.

    It is the Cholesky factor of the inverse of the products, each row divided by its diagonal: here
    as the inverse of the factor of the products themselves with their channels in reverse.
    """
    eye = torch.eye(products.shape[-1])
    mean = products.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-12)
    damped = products + DAMPING * mean[..., None, None] * eye
    factor = torch.linalg.cholesky(damped.flip(-2, -1)).flip(-2, -1)  # upper
    inverse = torch.linalg.solve_triangular(factor, eye, upper=True)
    return inverse / inverse.diagonal(dim1=-2, dim2=-1)[..., None]

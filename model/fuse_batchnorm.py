"""A trained network -> the one that evaluation and prediction run: the same function, faster."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from model.covidnext50 import COVIDNext50


def fuse_for_inference(
    network: COVIDNext50, device: torch.device, dtype: torch.dtype
) -> COVIDNext50:
    """The network on the device, in eval mode, for nothing but inference. It is changed in place.

    Each BatchNorm is folded into the convolution before it (Jacob et al., arXiv:1712.05877,
    section 3.2). The convolutions run in dtype, channels last; maps, features, head and logits are
    float32 whatever dtype is, so that no autocast is due. Images are given as to any network.
    """
    network = network.eval().requires_grad_(False)
    trunk = [getattr(network, name) for name in network.BLOCKS if name != "logits"]
    # One layer after the other, so that the network is never there twice.
    for conv_name, norm_name in [*batchnorms(network)]:
        conv, norm = map(network.get_submodule, (conv_name, norm_name))
        statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
        folded = fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
        conv.weight, conv.bias = (
            nn.Parameter(part.to(dtype), requires_grad=False) for part in folded
        )
        block, _, name = norm_name.rpartition(".")
        setattr(network.get_submodule(block), name, nn.Identity())
    if dtype != torch.float32:
        trunk[0].register_forward_pre_hook(lambda _, images: (images[0].to(dtype),))
        trunk[-1].register_forward_hook(lambda _, images, maps: maps.float())
    return network.to(device, memory_format=torch.channels_last)


def batchnorms(network: nn.Module) -> Iterator[tuple[str, str]]:
    """The name of each convolution that has a BatchNorm behind it, and that of the BatchNorm."""
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    layers = [layer for layer in network.named_modules() if isinstance(layer[1], kinds)]
    for (name, one), (behind, other) in pairwise(layers):
        if isinstance(one, nn.Conv2d) and isinstance(other, nn.BatchNorm2d):
            yield name, behind


def unfold(folded: Tensor, norm: nn.BatchNorm2d, otherwise: Tensor) -> Tensor:
    """The weight of a convolution, from that into which the BatchNorm was folded.

    otherwise: weights for channels that the BatchNorm multiplies by 0, of which nothing is left.
    """
    factor = (norm.weight / (norm.running_var + norm.eps).sqrt()).view(-1, 1, 1, 1)
    return torch.where(factor == 0, otherwise, folded / factor)

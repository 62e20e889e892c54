"""A trained network -> the one that evaluation and prediction run: the same function, faster."""

import torch
from torch import nn
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
    for block in trunk:
        _fold(block, dtype)
    if dtype != torch.float32:
        trunk[0].register_forward_pre_hook(lambda _, images: (images[0].to(dtype),))
        trunk[-1].register_forward_hook(lambda _, images, maps: maps.float())
    return network.to(device, memory_format=torch.channels_last)


def _fold(module: nn.Module, dtype: torch.dtype) -> None:
    """A BatchNorm stands behind its convolution, here and in torchvision's blocks."""
    behind = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(behind, nn.Conv2d):
            norm = (child.running_mean, child.running_var, child.eps, child.weight, child.bias)
            folded = fuse_conv_bn_weights(behind.weight, behind.bias, *norm)
            # One layer after the other, so that the network is never there twice.
            behind.weight, behind.bias = (
                nn.Parameter(part.to(dtype), requires_grad=False) for part in folded
            )
            setattr(module, name, nn.Identity())
        else:
            _fold(child, dtype)
        behind = child

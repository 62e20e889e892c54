"""COVIDNext50 as the plain recipes have it: every convolution is torch's own."""

from torch import nn

from model.convolution import Conv2d
from model.covidnext50 import COVIDNext50


def plain_network(n_classes: int) -> COVIDNext50:
    network = COVIDNext50(n_classes)
    for layer in network.modules():
        if isinstance(layer, Conv2d):
            layer.__class__ = nn.Conv2d  # which differs from it in forward only
    return network

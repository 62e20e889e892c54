"""model.onnx.rounding: what a convolution gives changes least."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from model.onnx.rounding import input_products, round_weights

MOST = 7


class Layer(nn.Sequential):
    maps = nn.Sequential.forward


def layer(n_in: int, n_out: int, side: int, stride: int = 1, groups: int = 1) -> Layer:
    torch.manual_seed(1)
    return Layer(nn.Conv2d(n_in, n_out, side, stride, side // 2, groups=groups))


def images(n: int, channels: int) -> torch.Tensor:
    """Channels that resemble each other, as those of a trained network do."""
    few = torch.randn(n, channels // 4, 9, 7, generator=torch.Generator().manual_seed(2))
    mix = torch.randn(channels, channels // 4, generator=torch.Generator().manual_seed(3))
    return (torch.einsum("nfhw,cf->nchw", few, mix) + 0.3).relu()


@pytest.mark.parametrize(("side", "stride", "groups"), [(1, 1, 1), (1, 2, 1), (3, 1, 1), (3, 2, 4)])
def test_the_products_are_those_of_all_that_the_kernel_sees(side, stride, groups):
    network, x = layer(8, 12, side, stride, groups), images(6, 8)
    products = input_products(network, x.split(4))["0"]
    windows = functional.unfold(x, side, padding=side // 2, stride=stride)  # (N, in * taps, places)
    windows = windows.view(6, groups, 8 // groups, side**2, -1)
    wanted = torch.einsum("ngctp,ngdtp->tgcd", windows, windows)
    torch.testing.assert_close(products, wanted)
    assert not network[0]._forward_pre_hooks


@pytest.mark.parametrize(("side", "stride", "groups"), [(1, 1, 1), (1, 2, 1), (3, 1, 1), (3, 2, 2)])
def test_the_convolution_changes_less_than_with_each_weight_at_its_nearest(side, stride, groups):
    network = layer(160, 24, side, stride, groups)
    seen, unseen = images(40, 160).split([24, 16])
    weight = network[0].weight.detach()
    step = weight.abs().amax((1, 2, 3), keepdim=True) / MOST
    products = input_products(network, [seen])["0"]
    clever = step * round_weights(weight / step, MOST, products)
    nearest = step * (weight / step).round()
    with torch.no_grad():
        exact = network(unseen)
        errors = []
        for rounded in (clever, nearest):
            network[0].weight.data = rounded
            errors.append((network(unseen) - exact).square().mean())
    assert errors[0] < 0.5 * errors[1]


def test_each_error_is_made_up_for_as_the_least_squares_say():
    """Channel by channel, with the inverse of the products of the channels that are left."""
    torch.manual_seed(1)
    weight, x = 3 * torch.randn(5, 70, 1, 1), torch.randn(200, 70) @ torch.randn(70, 70)
    damped = x.T.double() @ x.double()
    damped += 0.01 * damped.diagonal().mean() * torch.eye(70)
    left, wanted = weight.flatten(1).double(), torch.empty(5, 70)
    for j in range(70):
        inverse = torch.linalg.inv(damped[j:, j:])
        wanted[:, j] = left[:, j].round().clamp(-MOST, MOST)
        error = left[:, j] - wanted[:, j]
        left[:, j:] -= error[:, None] * (inverse[0] / inverse[0, 0])
    found = round_weights(weight, MOST, (x.T @ x)[None, None])
    # A number that lies half way between two may be rounded either way.
    assert (found.flatten(1) == wanted).float().mean() > 0.98
    assert found.abs().max() == MOST


def test_channels_that_are_not_related_or_never_seen_are_rounded_to_the_nearest():
    torch.manual_seed(1)
    weight = 4 * torch.randn(4, 3, 3, 3)
    for diagonal in ([1.0, 4.0, 9.0], [0.0, 0.0, 0.0]):
        products = torch.diag(torch.tensor(diagonal)).expand(9, 1, 3, 3)
        found = round_weights(weight, MOST, products)
        assert torch.equal(found, weight.round().clamp(-MOST, MOST))

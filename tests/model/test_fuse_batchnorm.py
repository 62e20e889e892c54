"""The network that evaluation and prediction run is the trained one, only faster."""

import copy

import pytest
import torch
from torch import nn

from data.transforms import PLAIN, InputFormat
from model.fuse_batchnorm import batchnorms, fuse_for_inference, unfold
from model.inference import examine
from tests.helpers.networks import NarrowNext

CPU = torch.device("cpu")
FORM = InputFormat((64, 64), **PLAIN)


@pytest.fixture(scope="module")
def network():
    """Random weights, with statistics and scales as after training."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network = NarrowNext(3).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.weight, 0.6, 1.4), (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2), (module.running_var, 0.6, 1.4),
            ):  # fmt: skip
                values.data.uniform_(low, high, generator=generator)
    return network


@pytest.fixture(scope="module")
def pixels():
    return torch.randint(0, 256, (5, 1, 64, 64), generator=torch.Generator().manual_seed(1)).byte()


def look(network, pixels):
    return examine(network, [pixels], CPU, FORM.normalise)


def test_folding_changes_logits_features_and_heat_by_rounding_alone(network, pixels):
    before = look(network, pixels)
    assert before.logits.std() > 0.01  # else agreement would say little
    after = look(fuse_for_inference(copy.deepcopy(network), CPU, torch.float32), pixels)
    for mine, wanted in zip(after, before, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-3, atol=1e-4)


def test_no_batchnorm_is_left_and_nothing_can_be_trained(network):
    after = fuse_for_inference(copy.deepcopy(network), CPU, torch.float32)
    assert not [m for m in after.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len([m for m in after.modules() if isinstance(m, nn.Conv2d)]) == 56
    assert not after.training
    assert not any(parameter.requires_grad for parameter in after.parameters())


def test_bfloat16_is_near_and_features_and_logits_are_float32(network, pixels):
    before = look(network, pixels)
    fast = fuse_for_inference(copy.deepcopy(network), CPU, torch.bfloat16)
    after = look(fast, pixels)
    assert fast.block1.module[0].conv1.weight.dtype == torch.bfloat16
    for mine, wanted in zip(after, before, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - wanted).abs().max() < 0.05 * wanted.abs().max()
    rounded = after.features.bfloat16().float()
    assert not torch.equal(rounded, after.features)  # the mean over the maps was not rounded


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_image_alone_gives_the_probabilities_that_it_gives_in_a_batch(network, pixels, dtype):
    fast = fuse_for_inference(copy.deepcopy(network), CPU, dtype)
    together = look(fast, pixels).logits.softmax(1)
    alone = torch.cat([look(fast, image[None]).logits for image in pixels]).softmax(1)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


def test_the_tensors_it_was_loaded_from_stay_as_they_are(network):
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    other = NarrowNext(3)
    other.load_state_dict(network.state_dict(), assign=True)
    fuse_for_inference(other, CPU, torch.bfloat16)
    assert all(torch.equal(network.state_dict()[name], state[name]) for name in state)


def test_unfolding_gives_the_weights_back_and_others_where_nothing_is_left_of_them(network):
    network = copy.deepcopy(network)
    first, *_ = pairs = [*batchnorms(network)]
    assert len(pairs) == 56
    network.get_submodule(first[1]).weight.data[0] = 0
    folded = fuse_for_inference(copy.deepcopy(network), CPU, torch.float32)
    for conv, norm in pairs:
        weight, norm = network.get_submodule(conv).weight, network.get_submodule(norm)
        other = torch.zeros_like(weight)
        found = unfold(folded.get_submodule(conv).weight, norm, other)
        kept = slice(1, None) if conv == first[0] else slice(None)
        torch.testing.assert_close(found[kept], weight[kept])
        if conv == first[0]:
            assert torch.equal(found[0], other[0])

"""Steps of Muon: their direction, their size, what they leave alone, and that they go on alike."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from model.covidnext50 import COVIDNext50
from util.training.muon import orthogonal
from util.training.optimizer import make_optimizer
from util.training.schedule import cosine_schedule
from util.training.step import Descent

SHAPES = [(1, 4, 36), (2, 64, 147), (3, 30, 8), (2, 16, 16)]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    convolutions = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=4)
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(8, 3))


def fall(layers, steps, taken):
    images = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(taken):
        steps.step(nn.functional.cross_entropy(layers(images), torch.arange(6) % 3))


def descent(layers, decay=0.0):
    optimizer = make_optimizer(layers, "muon", 0.01, decay)
    return Descent(optimizer, cosine_schedule(optimizer, 1000, 0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_what_is_orthogonal_has_singular_values_near_one_and_the_same_directions(shape, scale):
    matrices = scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    turned = orthogonal(matrices)
    values = torch.linalg.svdvals(turned)
    assert values.max() < 1.3
    assert values.min() > 0.6
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    within = left.mT @ turned @ right.mT
    off = within - torch.diag_embed(within.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 0.03


def test_directions_that_are_hardly_there_stay_small():
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, 16, generator=draw))[0] for n in (16, 64))
    values = torch.tensor([1.0] * 4 + [1e-6] * 12)
    turned = orthogonal((left @ values.diag() @ right.mT)[None])
    found = torch.linalg.svdvals(turned)[0]
    assert (found[:4] > 0.6).all()
    assert (found[4:] < 0.01).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_gives_about_the_same(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rough, fine = orthogonal(matrices, torch.bfloat16), orthogonal(matrices)
    assert rough.dtype == fine.dtype == torch.float32
    assert (rough - fine).norm() < 0.1 * fine.norm()


def test_a_step_whose_gradient_does_not_fit_float16_moves_nothing():
    layers = network()
    optimizer = make_optimizer(layers, "muon", 0.01, 0.5, torch.float16)
    steps = Descent(optimizer, cosine_schedule(optimizer, 1000, 0), scaled=True)
    fall(layers, steps, 1)
    before, scale = deepcopy(layers.state_dict()), steps.scaler.get_scale()
    steps.step(layers[0].weight.sum() * float("inf"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in layers.state_dict().items())
    assert steps.scaler.get_scale() < scale


def test_no_gradient_at_all_moves_nothing():
    assert torch.equal(orthogonal(torch.zeros(1, 3, 5)), torch.zeros(1, 3, 5))


def test_a_convolution_goes_along_the_directions_of_its_gradient_and_each_group_along_its_own():
    layers = network()
    before = deepcopy(layers.state_dict())
    images = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(layers(images), torch.arange(6) % 3).backward()
    gradients = {name: p.grad.clone() for name, p in layers.named_parameters()}
    layers.zero_grad()
    layers.load_state_dict(before)
    fall(layers, descent(layers), 1)
    for name, parts in (("0.weight", 1), ("2.weight", 4)):
        step = (layers.state_dict()[name] - before[name]).reshape(parts, 8 // parts, -1)
        left, _, right = torch.linalg.svd(gradients[name].reshape(step.shape), full_matrices=False)
        wanted = -0.01 * 0.2 * max(step.shape[1:]) ** 0.5 * left @ right
        assert torch.cosine_similarity(step.flatten(1), wanted.flatten(1)).min() > 0.95
        sizes = step.flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)
        assert (sizes - 1).abs().max() < 0.3


def test_a_small_gradient_after_a_large_one_hardly_turns_the_way():
    layers = nn.Conv2d(3, 8, 3, bias=False)
    optimizer = make_optimizer(layers, "muon", 0.01, 0.0)
    large, small = torch.randn(2, 8, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    steps = []
    for gradient in (large, 1e-3 * small):
        before, layers.weight.grad = layers.weight.detach().clone(), gradient
        optimizer.step()
        steps.append((layers.weight - before).flatten())
    assert torch.cosine_similarity(*steps, dim=0) > 0.99


def test_all_but_the_convolutions_weights_are_adamws():
    layers, other = network(), network()
    fall(layers, descent(layers, decay=0.5), 1)
    optimizer = make_optimizer(other, "adamw", 0.01, 0.5)
    fall(other, Descent(optimizer, cosine_schedule(optimizer, 1000, 0)), 1)
    same = {n for n, p in layers.named_parameters() if torch.allclose(p, other.state_dict()[n])}
    assert same == {"1.weight", "1.bias", "2.bias", "4.weight", "4.bias"}


def test_convolutions_decay_at_the_rate_of_adamw():
    plain, decayed = network(), network()
    before = plain[0].weight.clone()
    for layers, decay in ((plain, 0.0), (decayed, 0.5)):
        fall(layers, descent(layers, decay), 1)
    lost = (plain[0].weight - decayed[0].weight).detach()
    assert torch.allclose(lost, 0.01 * 0.5 * before, atol=1e-7)


def test_the_widest_convolutions_of_the_network_are_adamws():
    with torch.device("meta"):
        network = COVIDNext50(3)
    groups = make_optimizer(network, "muon", 0.01, 0.5).param_groups
    mine = {id(weight) for group in groups if group["conv_groups"] for weight in group["params"]}
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    left = [tuple(layer.weight.shape) for layer in convolutions if id(layer.weight) not in mine]
    assert len(left) == 9
    assert min(max(shape[:2]) for shape in left) == 1024
    assert (512, 2048, 3, 3) in left
    everything = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(everything) == sorted(map(id, network.parameters()))


def test_frozen_convolutions_stay_and_are_no_part_of_it():
    layers = network()
    layers[0].weight.requires_grad = False
    before = layers[0].weight.clone()
    steps = descent(layers, decay=0.5)
    fall(layers, steps, 2)
    assert torch.equal(layers[0].weight, before)
    assert layers[0].weight not in steps.optimizer.state
    layers[0].weight.requires_grad = True  # thawed
    fall(layers, steps, 1)
    assert not torch.equal(layers[0].weight, before)

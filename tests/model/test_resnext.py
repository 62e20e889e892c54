"""Our ResNeXt50 is torchvision's."""

import pytest
import torch
from torchvision.models import resnext50_32x4d

from model.resnext import ResNeXt50


def drawn(make):
    torch.manual_seed(3)
    return make()


def test_a_seed_draws_the_tensors_that_torchvision_draws_under_the_same_names():
    ours = drawn(ResNeXt50).state_dict()
    wanted = drawn(lambda: resnext50_32x4d(weights=None, zero_init_residual=True)).state_dict()
    assert list(ours) == list(wanted)
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("training", [False, True])
def test_the_logits_and_gradients_are_torchvisions(training):
    reference = drawn(lambda: resnext50_32x4d(weights=None)).double().train(training)
    ours = ResNeXt50().double().train(training)
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(3, 3, 64, 96, dtype=torch.float64)
    for network in (reference, ours):
        network(x).square().mean().backward()
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), reference.eval()(x))
    gradients = zip(ours.parameters(), reference.parameters(), strict=True)
    for mine, wanted in gradients:
        torch.testing.assert_close(mine.grad, wanted.grad)

"""The matrix product of a small image is the convolution."""

import pytest
import torch
from torch import nn

from model import convolution
from model.convolution import Conv2d


def results(conv: nn.Conv2d, x: torch.Tensor) -> list[torch.Tensor]:
    """What comes out, and the gradients of input, weights and bias."""
    conv.zero_grad()
    x = x.clone().requires_grad_()
    y = conv(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in conv.parameters())]


@pytest.fixture
def convolved(monkeypatch) -> list:
    """The inputs that torch's convolution is given."""
    inputs, forward = [], nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: inputs.append(x) or forward(self, x))
    return inputs


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(2, 6, 5, 4), (3, 6, 1, 1), (1, 6, 8, 8), (0, 6, 3, 3)])
@pytest.mark.parametrize(("side", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
def test_output_and_gradients_are_those_of_torch(side, stride, shape, bias, layout, convolved):
    torch.manual_seed(1)
    ours = Conv2d(6, 10, side, stride)
    theirs = nn.Conv2d(6, 10, side, stride, side // 2, bias=bias)
    if bias:  # as with a BatchNorm folded into it
        ours.bias = nn.Parameter(theirs.bias.detach().clone())
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape, dtype=torch.float64)
    for conv in (ours, theirs):
        conv.double().to(memory_format=layout)
    mine = results(ours, x)
    assert not convolved
    for one, other in zip(mine, results(theirs, x), strict=True):
        torch.testing.assert_close(one, other)


def test_in_a_training_with_bfloat16_it_is_as_near_to_float32_as_torch(convolved):
    torch.manual_seed(1)
    ours, theirs = Conv2d(64, 32, 3), nn.Conv2d(64, 32, 3, padding=1, bias=False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(4, 64, 3, 3).to(memory_format=torch.channels_last)
    exact = results(theirs, x)
    with torch.autocast("cpu", torch.bfloat16):
        mine, others = results(ours, x), results(theirs, x)
    assert mine[0].dtype == torch.bfloat16
    for one, other, wanted in zip(mine, others, exact, strict=True):
        far = [(part.float() - wanted).norm() / wanted.norm() for part in (one, other)]
        assert far[0] < 1.5 * far[1] < 0.02


def test_larger_images_and_several_groups_are_convolved(convolved, monkeypatch):
    monkeypatch.setattr(convolution, "MOST_ROWS", 2 * 3 * 3)
    Conv2d(4, 4, 3, 2)(torch.ones(2, 4, 6, 5))
    assert not convolved
    Conv2d(4, 4, 3, 2)(torch.ones(2, 4, 7, 5))
    Conv2d(4, 4, 3, groups=2)(torch.ones(1, 4, 2, 2))
    assert len(convolved) == 2


def test_an_exported_graph_keeps_the_convolution():
    program = torch.export.export(Conv2d(4, 4, 1).eval(), (torch.ones(1, 4, 2, 2),))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert called == {"aten.conv2d.default"}

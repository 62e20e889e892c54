"""The two building blocks of COVIDNext50 beside the trunk."""

from torch import Tensor, nn

from model.convolution import Conv2d


class Block(nn.Module):
    """A named part of the network. Frozen, it has no gradients and its BatchNorm stays in eval.

    A BatchNorm left in training mode would go on moving its running statistics, which are as much a
    part of a pretrained block as its weights.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.frozen = False

    def freeze(self) -> None:
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def thaw(self) -> None:
        self.frozen = False
        self.requires_grad_(True)

    def train(self, mode: bool = True) -> "Block":
        return super().train(mode and not self.frozen)

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


def conv_bn(n_in: int, n_out: int, side: int) -> nn.Sequential:
    """Convolution without bias, BatchNorm, LeakyReLU(0.1); height and width stay."""
    return nn.Sequential(
        Conv2d(n_in, n_out, side),
        nn.BatchNorm2d(n_out),
        nn.LeakyReLU(0.1, inplace=True),
    )

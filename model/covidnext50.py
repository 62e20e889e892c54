"""COVIDNext50: a ResNeXt50 trunk with three convolutions and a linear head (COVID-Next, 2020)."""

from collections.abc import Iterable

from torch import Tensor, nn

from model.layers import Block, conv_bn
from model.resnext import ResNeXt50


class COVIDNext50(nn.Module):
    """Chest radiographs (N, 3, H, W) -> logits (N, n_classes); 37,665,603 parameters at 3 classes.

    The trunk is ResNeXt50 32x4d (Xie et al., Aggregated Residual Transformations, CVPR 2017) as
    torchvision has it. The names of the 338 tensors are those of the network released in 2020.

    trunk_state: a state_dict of torchvision's resnext50_32x4d without `fc` to start from (see
    `model.weights.trunk_state`), or None for random weights, with the last BatchNorm of each
    residual block at 0 (Goyal et al., arXiv:1706.02677).
    """

    BLOCKS = ("block0", "block1", "block2", "block3", "block4", "backbone_end", "logits")

    def __init__(self, n_classes: int, trunk_state: dict[str, Tensor] | None = None):
        super().__init__()
        trunk = ResNeXt50()
        trunk.fc = nn.Identity()
        if trunk_state is not None:
            trunk.load_state_dict(trunk_state)
        self.block0 = Block(nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool))
        self.block1 = Block(trunk.layer1)  # H/4,   256 channels
        self.block2 = Block(trunk.layer2)  # H/8,   512
        self.block3 = Block(trunk.layer3)  # H/16, 1024
        self.block4 = Block(trunk.layer4)  # H/32, 2048
        self.backbone_end = Block(
            nn.Sequential(conv_bn(2048, 512, 3), conv_bn(512, 1024, 1), conv_bn(1024, 512, 3))
        )
        self.logits = Block(nn.Linear(512, n_classes))

    def freeze(self, names: Iterable[str]) -> None:
        """Freezes the named blocks; ValueError for a name that is not in BLOCKS, or for all."""
        names = list(names)
        unknown = [name for name in names if name not in self.BLOCKS]
        if unknown:
            raise ValueError(
                f"freeze: found {', '.join(unknown)}; expected some of {', '.join(self.BLOCKS)}"
            )
        if set(names) == set(self.BLOCKS):
            raise ValueError("freeze: found every block; expected at least one that is trained")
        for name in names:
            getattr(self, name).freeze()

    def thaw(self) -> None:
        """Trains every block from now on."""
        for name in self.BLOCKS:
            getattr(self, name).thaw()

    def maps(self, x: Tensor) -> Tensor:
        """The last convolution's output, (N, 512, H/32, W/32), sides rounded up."""
        for name in self.BLOCKS[:-1]:
            x = getattr(self, name)(x)
        return x

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, (N, 512): what the head sees of each image."""
        return pool(self.maps(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))


def pool(maps: Tensor) -> Tensor:
    """Global average pooling, (N, C, h, w) -> (N, C)."""
    return maps.mean(dim=(2, 3))

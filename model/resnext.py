"""torchvision's resnext50_32x4d, tensor by tensor, without importing torchvision.

That takes as long again as importing torch, and 150 MB: too much for one prediction.
"""

from torch import Tensor, nn

from model.convolution import Conv2d

STAGES = ((3, 128, 1), (4, 256, 2), (6, 512, 2), (3, 1024, 2))  # blocks, width inside, stride
GROUPS = 32  # 32x4d: of 4, 8, 16 and 32 channels


class ResNeXt50(nn.Module):
    """ResNeXt50 32x4d (Xie et al., Aggregated Residual Transformations, CVPR 2017).

    Images (N, 3, H, W) -> 1000 logits. The names are torchvision's, so that its ImageNet weights
    load, and a seed draws the weights that it draws there with `zero_init_residual`: the last
    BatchNorm of each residual block starts at 0 (Goyal et al., arXiv:1706.02677).
    """

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        n_in = 64
        for k, (blocks, width, stride) in enumerate(STAGES, start=1):
            first = Bottleneck(n_in, width, stride, widen=True)
            n_in = 2 * width
            rest = (Bottleneck(n_in, width) for _ in range(blocks - 1))
            setattr(self, f"layer{k}", nn.Sequential(first, *rest))
        self.fc = nn.Linear(n_in, 1000)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # of no values at all
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


class Bottleneck(nn.Module):
    """1x1, grouped 3x3 with the stride, 1x1; added to its input, which `widen` fits to it."""

    def __init__(self, n_in: int, width: int, stride: int = 1, widen: bool = False):
        super().__init__()
        n_out = 2 * width
        # torchvision makes it before the others, and lists it behind them.
        downsample = None
        if widen:
            downsample = nn.Sequential(Conv2d(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))
        self.conv1 = Conv2d(n_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = Conv2d(width, width, 3, stride, GROUPS)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = Conv2d(width, n_out, 1)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)

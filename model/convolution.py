"""A convolution that a CPU computes as one matrix product where the image has become small."""

import torch
from torch import Tensor, nn
from torch.nn import functional

# Rows of the product. Steps at 64 px gain by it; those at 256 px, whose images stay larger, do not.
MOST_ROWS = 1024


class Conv2d(nn.Conv2d):
    """nn.Conv2d without bias, of a square kernel with an odd `side`, padded by side // 2 zeros.

    The last layers of a trunk have thousands of channels and few pixels. A CPU's convolutions are
    made for few channels and many pixels, and take several times as long there as the product of
    the pixels' windows, (N * H * W, side * side * in), with the weights. It is the same function. A
    graph that is exported or compiled keeps the convolution.
    """

    def __init__(self, n_in: int, n_out: int, side: int, stride: int = 1, groups: int = 1):
        super().__init__(n_in, n_out, side, stride, side // 2, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self._is_small(x):
            return super().forward(x)
        (side, _), (stride, _), (border, _) = self.kernel_size, self.stride, self.padding
        if border:
            x = functional.pad(x, [border] * 4)
        windows = x.unfold(2, side, stride).unfold(3, side, stride)  # (N, in, H, W, side, side)
        windows = windows.permute(0, 2, 3, 4, 5, 1)
        images, height, width = windows.shape[:3]
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)
        # One matrix: of more dimensions, linear would copy the weights for each image.
        pixels = functional.linear(windows.reshape(-1, weight.shape[1]), weight, self.bias)
        return pixels.view(images, height, width, self.out_channels).permute(0, 3, 1, 2)

    def _is_small(self, x: Tensor) -> bool:
        if x.device.type != "cpu" or self.groups > 1 or torch.compiler.is_compiling():
            return False
        height, width = (-(-side // self.stride[0]) for side in x.shape[2:])
        return len(x) * height * width <= MOST_ROWS

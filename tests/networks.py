"""A network of COVIDNext50's interface that a test can train in a second."""

from torch import Tensor, nn

from model.covidnext50 import COVIDNext50
from model.layers import Block, conv_bn


class TinyNext(nn.Module):
    """Two convolutions with BatchNorm and a linear head, under COVIDNext50's names."""

    BLOCKS = ("block0", "backbone_end", "logits")
    freeze = COVIDNext50.freeze
    thaw = COVIDNext50.thaw
    maps = COVIDNext50.maps
    features = COVIDNext50.features
    forward = COVIDNext50.forward

    def __init__(self, n_classes: int, trunk_state: dict[str, Tensor] | None = None):
        super().__init__()
        self.block0 = Block(nn.Sequential(conv_bn(3, 4, 3), nn.MaxPool2d(4)))
        self.backbone_end = Block(conv_bn(4, 8, 3))
        self.logits = Block(nn.Linear(8, n_classes))

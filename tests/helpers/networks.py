"""A network of COVIDNext50's interface that a test can train in a second, and its checkpoints."""

from pathlib import Path

from torch import Tensor, nn, no_grad

from model.covidnext50 import COVIDNext50
from model.layers import Block, conv_bn
from util.checkpoint import save_checkpoint

CLASSES = ["normal", "pneumonia", "COVID-19"]
MAPPING = {name: k for k, name in enumerate(CLASSES)}


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


def input_form(size: tuple[int, int], fit: str = "squash", equalize: bool = False) -> dict:
    """A checkpoint's `input`, of images prepared at 64 px."""
    prepared = {"size": 64, "fit": fit, "equalize": equalize}
    return {"size": size, "mean": (0.5,) * 3, "std": (0.25,) * 3, "prepared": prepared, "mode": "L"}


def centre_head(network: TinyNext, batch: Tensor) -> None:
    """Moves the head around the mean of the batch's features, so that not all get one class."""
    head = network.logits.module
    with no_grad():
        head.bias.copy_(-head.weight @ network.eval().features(batch).mean(0))


def save_network(path: Path, network: TinyNext, form: dict, **more) -> Path:
    """Writes a checkpoint of three classes."""
    content = {"state_dict": network.state_dict(), "mapping": MAPPING, "input": form}
    save_checkpoint(path, content | more)
    return path

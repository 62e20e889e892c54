"""Networks of COVIDNext50's interface that a test can train in a second, and their checkpoints."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn, no_grad

from model.covidnext50 import COVIDNext50
from model.gate import Gate
from model.layers import Block, conv_bn
from model.mahalanobis import Mahalanobis
from model.resnext import Bottleneck
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


class NarrowNext(COVIDNext50):
    """COVIDNext50 with a sixteenth of the channels: the same modules and names, 235,000 parameters.

    For tests that need its blocks, such as freezing, fusing and compiling; see `use_network`.
    """

    LESS = 16

    def __init__(self, n_classes: int, trunk_state: dict[str, Tensor] | None = None):
        assert trunk_state is None  # pretrained weights are of the full width
        with torch.device("meta"):  # the shapes, without the values
            super().__init__(n_classes)
        for module in self.modules():
            match module:  # a second __init__ replaces the parameters
                case nn.Conv2d(in_channels=n_in, out_channels=n_out, groups=groups):
                    kind = (module.kernel_size, module.stride, module.padding)
                    groups = max(1, groups // self.LESS)
                    n_in, n_out = self._less(n_in), self._less(n_out)
                    nn.Conv2d.__init__(module, n_in, n_out, *kind, groups=groups, bias=False)
                case nn.BatchNorm2d(num_features=n):
                    module.__init__(self._less(n))
                case nn.Linear(in_features=n):
                    module.__init__(self._less(n), n_classes)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def _less(self, channels: int) -> int:
        return channels if channels == 3 else channels // self.LESS


def use_network(monkeypatch: pytest.MonkeyPatch, network: type[nn.Module] = TinyNext) -> None:
    """Puts the network in the place of COVIDNext50 in every module that has imported it."""
    keep = (COVIDNext50.__module__, __name__)
    for name, module in list(sys.modules.items()):
        if name not in keep and getattr(module, "__dict__", {}).get("COVIDNext50") is COVIDNext50:
            monkeypatch.setattr(module, "COVIDNext50", network)


def input_form(size: tuple[int, int], fit: str = "squash", equalize: bool = False) -> dict:
    """A checkpoint's `input`, of images prepared at 64 px."""
    prepared = {"size": 64, "fit": fit, "equalize": equalize}
    return {"size": size, "mean": (0.5,) * 3, "std": (0.25,) * 3, "prepared": prepared, "mode": "L"}


def centre_head(network: TinyNext, batch: Tensor) -> None:
    """Moves the head around the mean of the batch's features, so that not all get one class."""
    head = network.logits.module
    with no_grad():
        head.bias.copy_(-head.weight @ network.eval().features(batch).mean(0))


def save_folds(run: Path, form: dict, temperatures: Sequence[float]) -> Path:
    """Writes the folds of a run that have ended, each with a network and a gate of its own."""
    number = len(temperatures)
    for k, temperature in enumerate(temperatures, start=1):
        torch.manual_seed(k)
        (run / f"fold-{k}").mkdir(parents=True)
        network, gate = TinyNext(3), Gate(None, Mahalanobis.fit(torch.randn(200, 8), 0.01))
        save_network(
            run / f"fold-{k}/best.pth", network, form, temperature=temperature,
            prior=[0.2, 0.3, 0.5], gate=gate.state(), sources={"near": 100 * k},
            config={"name": f"{run.name}/fold-{k}", "fold": f"{k}/{number}"},
            started_from=[{
                "fingerprint": "x", "sources": {"far": k}, "fold": f"{k}/{number}",
                "config": {"epochs": 9, "fold": f"{k}/{number}"},
            }],
            validation={"logits": torch.full((2, 3), float(k)), "targets": [0, k - 1]},
        )  # fmt: skip
    return run


def save_network(path: Path, network: TinyNext, form: dict, **more) -> Path:
    """Writes a checkpoint of three classes."""
    content = {"state_dict": network.state_dict(), "mapping": MAPPING, "input": form}
    save_checkpoint(path, content | more)
    return path

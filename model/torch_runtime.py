"""A checkpoint, ready to run in PyTorch."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.transforms import InputFormat
from model.covidnext50 import COVIDNext50
from model.doubts import Limits, Measured
from model.fuse_batchnorm import fuse_for_inference
from model.gate import Gate, arrays
from model.inference import examine
from model.runtime import Examined
from model.weights import load_network
from util.checkpoint import load_checkpoint
from util.class_names import class_names
from util.device import pick_device, pick_precision


@dataclass(frozen=True)
class TorchRuntime:
    """A `Runtime`: the network, how it wants its input, and the gate of its checkpoint."""

    network: COVIDNext50
    form: InputFormat
    gate: Gate
    device: str
    augmented: bool  # at test time, see `model.test_time_augmentation`

    @property
    def limits(self) -> Limits:
        return self.gate.limits

    def examine(self, batches: Iterable[Tensor]) -> Examined:
        device, normalise = torch.device(self.device), self.form.normalise
        seen = examine(self.network, batches, device, normalise, augmented=self.augmented)
        return Examined(*(values.cpu().numpy() for values in seen))

    def examine_and_measure(self, pixels: np.ndarray) -> tuple[Examined, Measured]:
        images = torch.from_numpy(pixels)
        seen = self.examine([images])
        return seen, arrays(self.gate.measure(images, torch.from_numpy(seen.features)))


def load(
    path: Path, device: str | torch.device = "auto", dtype: torch.dtype | None = None
) -> tuple[dict[str, Any], TorchRuntime]:
    """What the checkpoint says, and its network. Of the weights it says the number, `parameters`.

    device: auto, cpu, cuda, cuda:1 or mps. dtype: of the convolutions; None is bfloat16 where the
    device has it natively, else float32. ValueError for a file that is not a checkpoint.
    """
    device, checkpoint = pick_device(str(device)), load_checkpoint(path)
    n_classes = len(class_names(checkpoint["mapping"]))
    network = load_network(checkpoint.pop("state_dict"), n_classes, str(path))
    checkpoint["parameters"] = sum(tensor.numel() for tensor in network.parameters())
    return checkpoint, TorchRuntime(
        fuse_for_inference(network, device, dtype or pick_precision("auto", device)),
        InputFormat.of(checkpoint["input"]),
        Gate.of(checkpoint["gate"]),
        str(device),
        checkpoint["test_time_augmentation"],
    )

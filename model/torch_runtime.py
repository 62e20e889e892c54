"""A checkpoint, or the folds of a run, ready to run in PyTorch."""

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
from model.ensemble import Ensemble, joined
from model.fuse_batchnorm import fuse_for_inference
from model.gate import Gate, arrays
from model.inference import examine
from model.runtime import Examined
from model.weights import load_network
from util.checkpoint import load_checkpoint
from util.class_names import class_names
from util.device import pick_device, pick_precision
from util.training.folds import fold_files


@dataclass(frozen=True)
class TorchRuntime:
    """A `Runtime`: the network, how it wants its input, and the gate of its checkpoint."""

    network: COVIDNext50 | Ensemble
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

    path: also the folder of a run with folds, see `model.ensemble`. device: auto, cpu, cuda, cuda:1
    or mps. dtype: of the convolutions; None is bfloat16 where the device has it natively, else
    float32. ValueError for a file that is not a checkpoint.
    """
    device = pick_device(str(device))
    dtype = dtype or pick_precision("auto", device)
    if files := fold_files(path):
        folds = zip(*(_load_one(file, device, dtype) for file in files), strict=True)
        checkpoint, network, gate = joined(path, *folds)
    else:
        checkpoint, network = _load_one(path, device, dtype)
        gate = Gate.of(checkpoint["gate"])
    return checkpoint, TorchRuntime(
        network.to(device),
        InputFormat.of(checkpoint["input"]),
        gate,
        str(device),
        checkpoint["test_time_augmentation"],
    )


def _load_one(
    path: Path, device: torch.device, dtype: torch.dtype
) -> tuple[dict[str, Any], COVIDNext50]:
    checkpoint = load_checkpoint(path)
    n_classes = len(class_names(checkpoint["mapping"]))
    network = load_network(checkpoint.pop("state_dict"), n_classes, str(path))
    checkpoint["parameters"] = sum(tensor.numel() for tensor in network.parameters())
    return checkpoint, fuse_for_inference(network, device, dtype)

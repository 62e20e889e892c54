"""A checkpoint, ready to be run: what evaluation, prediction and the end of a training load."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.transforms import InputFormat
from model.covidnext50 import COVIDNext50
from model.fuse_batchnorm import fuse_for_inference
from model.gate import Gate
from model.inference import Examined, examine
from model.weights import load_network
from util.checkpoint import checkpoint_file, load_checkpoint, short_hash
from util.class_names import class_names
from util.device import pick_device, pick_precision
from util.metrics.probabilities import shares_of, tempered, to_prevalence


@dataclass(frozen=True)
class Predictor:
    """A network on its device, with what its checkpoint says of input, classes and doubts."""

    path: str
    name: str  # best.pth@1a2b3c4d
    checkpoint: dict[str, Any]  # the file; of its weights only the number, `parameters`
    network: COVIDNext50
    form: InputFormat
    classes: list[str]
    gate: Gate
    device: torch.device
    augmented: bool  # at test time, see `model.test_time_augmentation`

    @classmethod
    def load(
        cls, path: str | Path, device: str | torch.device = "auto", dtype: torch.dtype | None = None
    ) -> "Predictor":
        """The predictor of a checkpoint; FileNotFoundError or ValueError for another file.

        path: as in `checkpoint_file`. device: auto, cpu, cuda, cuda:1 or mps. dtype: of the
        convolutions; None is bfloat16 where the device has it natively, else float32.
        """
        device, path = pick_device(str(device)), checkpoint_file(path)
        checkpoint = load_checkpoint(path)
        classes = class_names(checkpoint["mapping"])
        network = load_network(checkpoint.pop("state_dict"), len(classes), str(path))
        checkpoint["parameters"] = sum(tensor.numel() for tensor in network.parameters())
        return cls(
            str(path),
            f"{path.name}@{short_hash(path)}",
            checkpoint,
            fuse_for_inference(network, device, dtype or pick_precision("auto", device)),
            InputFormat.of(checkpoint["input"]),
            classes,
            Gate.of(checkpoint["gate"]),
            device,
            checkpoint["test_time_augmentation"],
        )

    def examine(self, batches: Iterable[Tensor]) -> Examined:
        """What the network makes of batches (n, 1 or 3, H, W) uint8, on the CPU; see `Examined`."""
        seen = examine(
            self.network, batches, self.device, self.form.normalise, augmented=self.augmented
        )
        return Examined(*(values.cpu() for values in seen))

    def probabilities(self, logits: np.ndarray | Tensor) -> np.ndarray:
        """(N, K) -> (N, K) float64, with the checkpoint's temperature."""
        return tempered(logits, self.checkpoint["temperature"])

    def scorer(
        self, prevalence: Mapping[str, float] | None
    ) -> Callable[[np.ndarray | Tensor], np.ndarray]:
        """`probabilities`, moved from the mixture of the training to a population.

        prevalence: {class: share} of the population; None moves nothing. ValueError for shares that
        do not fit the classes, and for a checkpoint that does not know its own mixture.
        """
        if not prevalence:
            return self.probabilities
        shares, prior = shares_of(prevalence, self.classes), self.checkpoint["prior"]
        if not prior:
            raise ValueError(f"{self.path}: no prior in it to start from; leave --prevalence out")
        return lambda logits: to_prevalence(self.probabilities(logits), prior, shares)

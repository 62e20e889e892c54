"""A file with a network, ready to be run: what evaluation, prediction and the page load.

A checkpoint, and the folder of a run with folds, runs in PyTorch; what export.py made of one in
ONNX Runtime, without PyTorch. Each `runtime` is imported when a file asks for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.transforms import InputFormat
from model.doubts import Limits
from model.runtime import Examined, Runtime
from util.class_names import class_names
from util.metrics.conformal import PredictionSets, Validation, known_patients
from util.metrics.probabilities import mover, tempered
from util.training.folds import name_of, network_path

# The package that a file needs -> what the file is, and what helps where the package is missing.
NEEDED = {
    "torch": ("a checkpoint", "requirements.txt, or give an ONNX file of export.py"),
    "onnxruntime": ("an ONNX file", "requirements-predict.txt"),
}


@dataclass(frozen=True)
class Predictor:
    """A network, with what its file says of input, classes and doubts."""

    path: str
    name: str  # best.pth@1a2b3c4d
    home: Path  # the folder that it lies in, or of its folds
    checkpoint: dict[str, Any]  # see `save_checkpoint`; of the weights the number, `parameters`
    form: InputFormat
    classes: list[str]
    runtime: Runtime

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "Predictor":
        """The predictor of a checkpoint, an ONNX file of export.py, `pretrained`, or of a run's
        folds together.

        path: as in `network_path`. device: auto, cpu, cuda, cuda:1 or mps; ONNX files run on the
        CPU. FileNotFoundError or ValueError for another file, and where its runtime is missing.
        """
        path = network_path(path)
        try:
            if path.suffix == ".onnx":
                from model.onnx.runtime import load
            else:
                from model.torch_runtime import load
        except ModuleNotFoundError as error:
            if error.name not in NEEDED:
                raise
            kind, remedy = NEEDED[error.name]
            raise ValueError(
                f"{path}: found {kind}, which needs the package {error.name}, and that is not"
                f" installed; pip install -r {remedy}"
            ) from None
        return cls.of(path, *load(path, device))

    @classmethod
    def of(cls, path: Path, checkpoint: dict[str, Any], runtime: Runtime) -> "Predictor":
        """From what the `load` of a runtime returns."""
        return cls(
            str(path),
            name_of(path),
            path if path.is_dir() else path.parent,
            checkpoint,
            InputFormat.of(checkpoint["input"]),
            class_names(checkpoint["mapping"]),
            runtime,
        )

    @property
    def gate(self) -> Limits:
        return self.runtime.limits

    def examine(self, batches: Iterable) -> Examined:
        """What the network makes of batches (n, 1 or 3, H, W) uint8, on the CPU."""
        return self.runtime.examine(batches)

    def examine_and_doubt(self, pixels: np.ndarray) -> tuple[Examined, list[str | None]]:
        """The same of one batch, and why each image may be no frontal chest radiograph, or None."""
        seen, measured = self.runtime.examine_and_measure(pixels)
        return seen, self.gate.doubts(measured)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(N, K) -> (N, K) float64, with the checkpoint's temperature."""
        return tempered(logits, self.checkpoint["temperature"])

    @property
    def validation(self) -> Validation | None:
        """Of a single network its validation, of folds their out-of-fold predictions."""
        if not (films := self.checkpoint["validation"]):
            return None
        chances, targets = self.probabilities(films["logits"]), np.array(films["targets"])
        patients = films.get("patients")  # which older files do not say
        return Validation(chances, targets, None if patients is None else np.array(patients))

    def prediction_sets(self, coverage: float) -> PredictionSets:
        """ValueError for a file that does not say what to calibrate on."""
        return PredictionSets.calibrate(known_patients(self.validation, self.path), coverage)

    def scorer(self, prevalence: Mapping[str, float] | None) -> Callable[[np.ndarray], np.ndarray]:
        """`probabilities`, moved from the mixture of the training to a population.

        prevalence: {class: share} of the population; None moves nothing. ValueError for shares that
        do not fit the classes, and for a checkpoint that does not know its own mixture.
        """
        if not prevalence:
            return self.probabilities
        move = mover(prevalence, self.classes, self.checkpoint["prior"], self.path)
        return lambda logits: move(self.probabilities(logits))

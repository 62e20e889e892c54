"""What a report must know of a model, whether it is here or only what it said of the films.

`network`, `predictions_file` and `linear_probe`, each in a module of its name, make one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.subject import Subject
from data.transforms import InputFormat
from util.class_names import class_names
from util.metrics.conformal import Validation


class Outputs(NamedTuple):
    """What a model says of the N films of a subject, in their order; None for what only a network
    that is here could tell."""

    probabilities: np.ndarray  # (N, K) float64
    features: np.ndarray | None = None  # (N, F)
    heat: np.ndarray | None = None  # (N, h, w), see model.runtime.Examined


def not_probed(subject: Subject) -> dict[str, np.ndarray]:
    """Of a model that cannot be shown changed films."""
    return {}


@dataclass(frozen=True)
class ModelUnderTest:
    """checkpoint: mapping, config, fingerprint, prior and temperature, as `save_checkpoint` says;
    None for what is not known. form: how it is shown the films; None: it is elsewhere.
    probed: name of each of PROBES -> probabilities (N, K) of films that it has changed.
    validation: films on which thresholds may be chosen. card and record: name -> value, what the
    report says of the model and of its file.
    """

    path: str  # of the file from which it is known
    home: Path  # in which its evaluations lie
    checkpoint: Mapping[str, Any]
    outputs: Callable[[Subject], Outputs]
    form: InputFormat | None = None
    probed: Callable[[Subject], Mapping[str, np.ndarray]] = not_probed
    validation: Validation | None = None
    card: Mapping[str, str] = field(default_factory=dict)
    record: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def classes(self) -> list[str]:
        return class_names(self.checkpoint["mapping"])

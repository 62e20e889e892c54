"""An ONNX file of export.py, ready to run in ONNX Runtime. No torch here."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from model.doubts import Limit, Limits, Measured
from model.runtime import Examined

# The outputs of the graph, beside `probabilities`, which are for other programs.
EXAMINED = Examined._fields
MEASURED = ("thumbnail", "edge_distances", "feature_distance")  # the fields of Measured
AT_ONCE = 16  # images in the network; more of them take memory, and no less time
VARIANTS = 6  # of an image, in test-time augmentation; all pass the network at once
FATAL = 4  # severity of what ONNX Runtime logs; its errors are raised, too


@dataclass(frozen=True)
class OnnxRuntime:
    """A `Runtime`, on the CPU."""

    session: InferenceSession
    limits: Limits
    at_once: int  # images
    device: str = "cpu"

    def examine(self, batches: Iterable) -> Examined:
        return Examined(*self._run(EXAMINED, batches))

    def examine_and_measure(self, pixels: np.ndarray) -> tuple[Examined, Measured]:
        there = {output.name for output in self.session.get_outputs()}  # the gate may lack some
        names = [name for name in EXAMINED + MEASURED if name in there]
        found = dict(zip(names, self._run(names, [pixels]), strict=True))
        return Examined(*map(found.get, EXAMINED)), Measured(*map(found.get, MEASURED))

    def _run(self, names: Sequence[str], batches: Iterable) -> list[np.ndarray]:
        """The outputs of all images, in order."""
        parts = [
            self.session.run(names, {"pixels": np.asarray(batch[start : start + self.at_once])})
            for batch in batches
            for start in range(0, len(batch), self.at_once)
        ]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]


def load(path: Path, device: str = "auto") -> tuple[dict[str, Any], OnnxRuntime]:
    """What the file says of its checkpoint, see `save_checkpoint`, and how it was exported; and its
    network. ValueError for a file that export.py did not write, and for a device but the CPU.
    """
    if device not in ("auto", "cpu"):
        raise ValueError(
            f"device: found '{device}', but ONNX files run on the CPU; give cpu or auto, or the"
            " checkpoint in place of the ONNX file"
        )
    options = SessionOptions()
    options.log_severity_level = FATAL
    try:
        session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        facts = {name: json.loads(value) for name, value in about.items()}
        gate = {name: known and Limit(**known) for name, known in facts["gate"].items()}
        at_once = AT_ONCE // VARIANTS if facts["test_time_augmentation"] else AT_ONCE
    except Exception:  # ONNX Runtime has its own for each fault
        raise ValueError(
            f"{path}: not an ONNX file of export.py, or cut off; export the checkpoint again, or"
            " for 4 bits install onnxruntime 1.23 or newer"
        ) from None
    return facts, OnnxRuntime(session, Limits(**gate), at_once)

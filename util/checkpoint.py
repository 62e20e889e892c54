"""Checkpoints: one file of tensors and plain values, written whole, loaded without running code."""

import _codecs
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from util.files import atomic_path

# What the checkpoint released in 2020 leaves unsaid; it has state_dict, global_step, clf_report.
ORIGINAL = {
    "mapping": {"normal": 0, "pneumonia": 1, "COVID-19": 2},
    "input": {
        "size": (256, 256),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "prepared": None,
        "mode": "RGB",
    },
    "config": {"name": "COVID-Next, 2020"},
    "epoch": None,
    "step": None,
    "metrics": {},
    "temperature": 1.0,
    "test_time_augmentation": False,
    "prior": None,
    "gate": None,
    "validation": None,
    "fingerprint": None,
    "versions": {},
}

# Its clf_report holds numpy scalars: these names, and no other code, may be called to build them.
_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (np.dtype, "numpy.dtype"),
    (_codecs.encode, "_codecs.encode"),
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64)),
]


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes the content whole: a run killed meanwhile leaves the file that was there before.

    OSError if it cannot be written, as on a full disk; the file that was there stays.
    """
    try:
        with atomic_path(path) as temporary:
            torch.save(content, temporary)
    except RuntimeError:  # torch's word for a disk that is full, which says something else
        raise OSError(f"{path}: could not be written; is the disk full?") from None


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint on the CPU, with ORIGINAL's values for what it does not have.

    Raises FileNotFoundError, or ValueError for a file that is no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; expected a checkpoint such as best.pth of a run"
        )
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own
        # torch's own advice, to load it without weights_only, would run what a stranger wrote
        raise ValueError(
            f"{path}: not a checkpoint ({type(error).__name__}); expected one that train.py wrote"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise ValueError(f"{path}: no state_dict in it; expected a checkpoint that train.py wrote")
    content = {**ORIGINAL, "step": content.get("global_step"), **content}
    for name in ("mapping", "input", "config"):
        if not isinstance(content[name], dict):
            raise ValueError(f"{path}: {name} is {content[name]!r}; expected a dict")
    known = ORIGINAL["input"].keys()
    if not {"size", "mean", "std"} <= content["input"].keys() <= known:
        found = ", ".join(content["input"])
        raise ValueError(f"{path}: input has {found}; expected {', '.join(known)}")
    return content


def short_hash(path: str | Path) -> str:
    """The first 8 digits of the file's SHA-256, which tell one best.pth from another."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()[:8]

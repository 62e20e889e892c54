"""Checkpoints: what they hold, written whole, loaded without running code."""

import _codecs
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from util.files import atomic_path
from util.model_file import model_file

# What the checkpoint released in 2020 does not say; it has state_dict, global_step, clf_report.
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
    **dict.fromkeys(("epoch", "step", "chosen_by", "prior", "gate", "validation", "fingerprint")),
    **dict.fromkeys(("sources", "started_from", "taught_by")),
    "metrics": {},
    "temperature": 1.0,
    "test_time_augmentation": False,
    "versions": {},
}

# What last.pth holds beyond best.pth.
RESUMABLE = (
    *("weights", "optimizer", "scheduler", "scaler", "rate", "rng"),
    *("history", "running", "matrix", "auto_precision"),
)
START = "start"  # and of keep_weights the tensors that it began with

# What one of our checkpoints must say of itself.
REQUIRED = {"mapping", "input"}
ELSEWHERE = {"epoch", "step", "metrics"}  # which checkpoints of other programs have, too

# Where other programs keep the network's tensors, and what stands before their names there.
NESTED = ("state_dict", "model_state_dict", "model")
WRAPPERS = r"^((module|_orig_mod|model)\.)+"

# The original's clf_report holds numpy scalars: these names may be called to build them, no others.
_SCALAR = np.float64(0).__reduce__()[0]
_ALLOWED = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (np.dtype, "numpy.dtype"),
    (_codecs.encode, "_codecs.encode"),
    *(type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int32, np.int64)),
]


log = logging.getLogger(__name__)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes a checkpoint whole: a run killed meanwhile leaves the file that was there before.

    It holds tensors and plain values. What is left out has ORIGINAL's value when it is loaded.

        state_dict        the network's weights: those of the running average, if there is one
        mapping           label -> class index
        input             size (height, width), mean, std, prepared, mode: see InputFormat
        config            the settings of the run, by config.py's names
        epoch, step       how far the run had come
        metrics           of the validation after that epoch: loss, accuracy, macro_f1 ...
        chosen_by         the one of them that chooses best.pth
        prior             how common each class seemed in training, (n_classes,), sum 1
        temperature       what logits are divided by before the softmax; 1 before the run's end
        test_time_augmentation  whether to predict the mean over several views of an image
        fingerprint       of the dataset
        sources           source -> number of its images that training could show
        started_from      the trainings that the weights it started from have behind them, the
                          last first: fingerprint, sources, fold and config of each (older ones
                          have no config, and no taught_by); None without weights
        taught_by         those that the networks of `distil` have behind them, likewise; None
                          also where that is not known
        versions          commit of the program, versions of Python and the packages
    best.pth gets at the run's end
        validation        logits (N, n_classes) of validation images, their targets, and a number
                          for the patient of each
        gate              state of the Gate that doubts images unlike the training images
    last.pth has, to go on from,
        weights           the network's own, without a running average
        optimizer, scheduler, scaler, rate    state of the Descent
        rng               state of torch's random generators: `rng_state`
        history, running, matrix    state of the Progress
        auto_precision    whether `precision` was chosen for the device
        start             only with keep_weights: the tensors that the network began with

    ValueError for another key; OSError if the file cannot be written, as on a full disk.
    """
    known = {"state_dict", *ORIGINAL, *RESUMABLE, START}
    if unknown := content.keys() - known:
        raise ValueError(f"{path}: found {', '.join(sorted(unknown))}; expected {', '.join(known)}")
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)  # by its name the file would hold the temporary one
    except RuntimeError:  # torch's word for a disk that is full, which says something else
        raise OSError(f"{path}: could not be written; is the disk full?") from None


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, see `save_checkpoint`, on the CPU.

    path: as in `model_file`. Files of other programs that hold the network's tensors are taken
    for the original's, which the log says. FileNotFoundError, or ValueError for a file that is not
    a checkpoint, or only a part of one.
    """
    path = model_file(path)
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # pickle, zip and torch each have their own
        # torch's own advice, to load it without weights_only, would run what a stranger wrote
        raise ValueError(
            f"{path}: not a checkpoint, cut off, or with more in it than tensors and plain values;"
            " expected one that train.py wrote"
        ) from None
    state = state_dict_of(content)
    if state is None:
        raise ValueError(f"{path}: no state_dict in it; expected a checkpoint that train.py wrote")
    if lost := REQUIRED - content.keys():
        if said := ORIGINAL.keys() & content.keys() - ELSEWHERE:
            raise ValueError(
                f"{path}: found {', '.join(sorted(said))} but no {', '.join(sorted(lost))};"
                " expected a whole checkpoint, as train.py wrote it"
            )
        if "clf_report" not in content:
            log.warning("%s: says nothing of classes and input; taken for the original's", path)
    content = {**ORIGINAL, "step": content.get("global_step"), **content, "state_dict": state}
    for name in ("mapping", "input", "config"):
        if not isinstance(content[name], dict):
            raise ValueError(f"{path}: {name} is {content[name]!r}; expected a dict")
    mapping = content["mapping"]
    if not all(isinstance(index, int) for index in mapping.values()):
        raise ValueError(f"{path}: mapping is {mapping!r}; expected an index for each label")
    found, known = content["input"], ORIGINAL["input"].keys()
    if not {"size", "mean", "std"} <= found.keys() <= known:
        raise ValueError(f"{path}: input has {', '.join(found)}; expected {', '.join(known)}")
    return content


def state_dict_of(content: Any) -> dict[str, Any] | None:
    """A network's tensors by name, from what a file holds, itself or in one of NESTED; None if
    there are none. Without what DistributedDataParallel and torch.compile put before each name."""
    if not isinstance(content, dict):
        return None
    bare = content and all(isinstance(value, Tensor) for value in content.values())
    state = content if bare else next((content[name] for name in NESTED if name in content), None)
    if not isinstance(state, dict):
        return None
    return {re.sub(WRAPPERS, "", str(name)): tensor for name, tensor in state.items()}


def rng_state() -> dict[str, Any]:
    """The states of torch's generators, as tensors. Nothing in a run draws from another one."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_rng_state(state: dict[str, Any]) -> None:
    """state: of `rng_state`; that of GPUs only where there are as many."""
    torch.set_rng_state(state["cpu"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])

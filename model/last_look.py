"""The end of a training: what prediction needs beside the network."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from data.dataset import read_some
from data.split.folds import parts_of_training
from model.gate import Gate
from model.torch_runtime import load
from util.checkpoint import load_checkpoint, save_checkpoint
from util.metrics.calibration import fit_temperature
from util.training.class_weights import class_frequencies

log = logging.getLogger(__name__)
MOST_IMAGES = 1000  # of a split, evenly through it


def last_look(
    best: Path,
    settings: dict[str, Any],
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[[Iterable, str], Iterable],
) -> None:
    """Adds to the checkpoint the temperature, fitted to validation images; their logits, to choose
    operating points on and to calibrate prediction sets; and the gate, which doubts what is unlike
    training images.

    settings: of the run, as they are now. dtype: of the convolutions. progress: wraps batches of
    images, under a title.
    """
    augmented = settings["test_time_augmentation"]
    checkpoint, runtime = load(best, device, dtype)
    runtime = replace(runtime, augmented=augmented)
    folder = Path(settings["dataset"])
    parts = parts_of_training(folder, settings["leave_out"], settings["fold"])
    sets, seen = {}, {}
    try:
        for split in ("val", "train"):
            where = (folder, parts[split], checkpoint["mapping"], runtime.form)
            sets[split] = pixels, _ = read_some(*where, MOST_IMAGES)
            batches = pixels.split(settings["batch_size"])
            seen[split] = runtime.examine(progress(batches, f"A last look at {split}"))
    except KeyboardInterrupt:
        text = "Stopped in the last look, which gives %s its temperature and gate; %s takes it"
        log.info(text, best, "--resume")
        raise
    logits, table = seen["val"].logits, sets["val"][1]
    targets = table["label"].map(checkpoint["mapping"]).tolist()
    prior = np.array(checkpoint["prior"])
    weights = prior / class_frequencies(targets, len(prior)).clip(1e-12)  # classes as in training
    gate = Gate.fit(sets["train"][0].numpy(), seen["train"].features)
    if gate.edges is None:
        text = (
            "%d training images are too few for a gate: no image will be doubted for its outlines"
        )
        log.warning(text, len(sets["train"][0]))
    changes = {
        "temperature": fit_temperature(logits, targets, weights),
        "config": settings,
        "test_time_augmentation": augmented,
        "validation": {
            "logits": torch.from_numpy(logits),
            "targets": targets,
            "patients": pd.factorize(table["patient_id"])[0].tolist(),
        },
        "gate": gate.state(),
    }
    save_checkpoint(best, load_checkpoint(best) | changes)

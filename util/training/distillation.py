"""One network that learns from those of a run with folds: --distil.

Hinton, Vinyals & Dean (2015), arXiv:1503.02531. The teacher of an image is the network that never
saw its patient (cross-fitting: Dao et al., Knowledge distillation as semiparametric inference, ICLR
2021), as one that has learned an image by heart can only repeat its label. The teachers have seen
the validation patients, so that what the new network scores on these is a little too good.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from util.training.folds import OUT_OF_FOLD, read_ended
from util.training.out_of_fold import read_out_of_fold

TEACHER = 0.5  # part of a target that is the teacher's; the rest is the label


def teachers_probabilities(
    run: Path, classes: Sequence[str], fingerprint: str, leave_out: Collection[str] | None = None
) -> pd.DataFrame:
    """(N, K) float64, the out-of-fold predictions of the images by their names.

    classes, fingerprint, leave_out: of the run that learns from them. FileNotFoundError where the
    folds of `run` have not ended; ValueError where they are of other classes or images.
    """
    about = read_ended(run)
    if about["classes"] != [*classes]:
        found = f"found classes {', '.join(about['classes'])}"
        raise ValueError(f"{run}: {found}; expected those of --mapping, {', '.join(classes)}")
    if about["fingerprint"] != fingerprint:
        raise ValueError(f"{run}: trained on other images; expected a run on this --dataset")
    left_out = [sorted({*(names or ())}) for names in (about["leave_out"], leave_out)]
    if left_out[0] != left_out[1]:
        found, wanted = (", ".join(names) or "no source" for names in left_out)
        raise ValueError(f"{run}: its training left out {found}; expected {wanted}, as here")
    table = read_out_of_fold(run / OUT_OF_FOLD).set_index("filename")
    return table[[f"p({name})" for name in classes]]


def soft_targets(
    probabilities: np.ndarray, targets: Sequence[int], weights: np.ndarray, smoothing: float
) -> Tensor:
    """What `batch_loss` takes of N images: (N, K) float32, of which a row adds up to the weight of
    its class.

    probabilities: (N, K), of the teacher. targets: class indices. weights: (K,). smoothing: of the
    label.
    """
    n_classes = len(weights)
    labels = (1 - smoothing) * np.eye(n_classes)[targets] + smoothing / n_classes
    mixed = TEACHER * probabilities + (1 - TEACHER) * labels
    return torch.tensor(weights[targets][:, None] * mixed, dtype=torch.float32)

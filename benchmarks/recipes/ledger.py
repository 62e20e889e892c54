"""The table of finished runs of recipes. A run in it is not repeated, on whatever machine."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

# What identifies a run. data: fingerprint of its images. settings: digest of all other settings.
JOB = ("recipe", "seed", "data", "size", "epochs", "settings")
# Validation: mean of the last epochs. Test: of the checkpoint that validation chose. Empty where
# nothing was measured.
SCORES = ("F1", "AUROC", "loss", "test F1", "test AUROC")
# What it was made with.
HOW = ("precision", "machine", "torch", "commit")

Job = Mapping[str, str | int]


def find(file: Path, job: Job) -> tuple[dict[str, float], dict[str, str]] | None:
    """The scores of a finished job (NaN where empty) and what it was made with; None if the job is
    not in the table."""
    if not file.is_file():
        return None
    table = pd.read_csv(file, dtype=dict.fromkeys((*JOB, *HOW), str))
    same = (table[list(JOB)] == [str(job[name]) for name in JOB]).all(axis=1)
    if not same.any():
        return None
    line = table[same].iloc[-1]
    return line[list(SCORES)].to_dict(), line[list(HOW)].to_dict()


def add(file: Path, job: Job, scores: Mapping[str, float], how: Mapping[str, str]) -> None:
    """Adds the line of a finished job."""
    row = pd.DataFrame([{**job, **scores, **how}], columns=[*JOB, *SCORES, *HOW])
    row.to_csv(file, mode="a", header=not file.exists(), index=False, float_format="%.4f")

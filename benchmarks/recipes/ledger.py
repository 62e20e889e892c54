"""The table of finished runs of recipes: one that stands there is made on no machine again."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

# What a run is known by. data: the fingerprint of its images. settings: a digest of all others.
JOB = ("recipe", "seed", "data", "size", "epochs", "settings")
# Validation as the mean of the last epochs, and test of the checkpoint that validation chose; empty
# for what was not measured.
SCORES = ("F1", "AUROC", "loss", "test F1", "test AUROC")
# What it was made with.
HOW = ("precision", "machine", "torch", "commit")

Job = Mapping[str, str | int]


def find(file: Path, job: Job) -> tuple[dict[str, float], dict[str, str]] | None:
    """The scores of a job that was done, NaN for those that are empty, and what it was made with;
    None for another job."""
    if not file.is_file():
        return None
    table = pd.read_csv(file, dtype=dict.fromkeys((*JOB, *HOW), str))
    same = (table[list(JOB)] == [str(job[name]) for name in JOB]).all(axis=1)
    if not same.any():
        return None
    line = table[same].iloc[-1]
    return line[list(SCORES)].to_dict(), line[list(HOW)].to_dict()


def add(file: Path, job: Job, scores: Mapping[str, float], how: Mapping[str, str]) -> None:
    """A line for a job that has ended."""
    row = pd.DataFrame([{**job, **scores, **how}], columns=[*JOB, *SCORES, *HOW])
    row.to_csv(file, mode="a", header=not file.exists(), index=False, float_format="%.4f")

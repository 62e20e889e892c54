"""Going on with a run: from which checkpoint, with which settings, in which arithmetic."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from util.device import pick_precision, precision_name
from util.training.folds import folder_of, numbers

# Which run it is, and whether it goes on: always as asked now.
WHICH = {"name", "ckpts_dir", "resume", "folds"}
# May change with --resume: the weights do not change, beyond rounding.
FREE = WHICH | {"dataset", "device", "n_threads", "compile", "log_steps", "save_minutes"}
FREE |= {"test_time_augmentation"}
# What settings were before they had a name.
BEFORE = {"choose": "macro_f1", "leave_out": None, "folds": None, "fold": None, "distil": None}
BEFORE |= {"appearance": 0.0, "size_warmup_epochs": 0.0, "keep_weights": 0.0}

log = logging.getLogger(__name__)


def settings_of_run(
    asked: dict[str, Any], given: set[str], saved: dict[str, Any] | None, n_ranks: int = 1
) -> SimpleNamespace:
    """The settings as `asked`; of a run that goes on its `saved` ones, except those FREE that were
    `given` on the command line.

    ValueError if another one was given with another value (`auto` is not a value of precision), or
    if many ranks would go on with another device than they have joined with.
    """
    if saved is None:
        return SimpleNamespace(**asked)
    if asked.get("precision") == "auto":
        given = given - {"precision"}
    saved = BEFORE | saved
    for name in sorted(given - FREE):
        if name in saved and asked[name] != saved[name]:
            raise ValueError(
                f"--{name.replace('_', '-')}: found {asked[name]}, but the run has {saved[name]}"
                " and goes on with its own settings. Leave the flag out, or begin another run, from"
                " this one's weights if you like: --name OTHER --weights .../best.pth"
            )
    settings = asked | {name: saved[name] for name in saved.keys() - WHICH - given}
    if n_ranks > 1 and settings["device"] != asked["device"]:
        raise ValueError(
            f"--device: found {asked['device']}, but the run has {settings['device']}; give that"
        )
    return SimpleNamespace(**settings)


def runs_of_folds(asked: dict[str, Any], given: set[str]) -> list[dict[str, Any]]:
    """The settings of the run of each fold that is asked for; none for a run without folds.

    asked, given: as in `settings_of_run`. With resume, and for a single fold, they are those of the
    folds that have begun. FileExistsError for the folder of a run without folds.
    """
    run = Path(asked["ckpts_dir"], asked["name"])
    number = asked["folds"] or (asked["fold"] and numbers(asked["fold"])[1])
    begun = sorted(run.glob("fold-*/config.json"))
    if begun and (asked["resume"] or asked["fold"]):
        config = json.loads(begun[0].read_text(encoding="utf-8"))
        config |= {k: tuple(v) for k, v in config.items() if isinstance(asked.get(k), tuple)}
        there = numbers(config["fold"])[1]
        if number not in (None, there):
            raise ValueError(f"--folds: found {number}, but {run} has {there}; give that number")
        config["fold"] = asked["fold"]
        number, asked = there, vars(settings_of_run(asked, given, config))
    if number and (run / "last.pth").exists():
        raise FileExistsError(f"{run}: holds a run without folds; --name begins another")
    folds = [f"{k}/{number}" for k in range(1, (number or 0) + 1)]
    return [
        asked | {"folds": None, "fold": fold, "name": f"{asked['name']}/{folder_of(fold)}"}
        for fold in ([asked["fold"]] if asked["fold"] else folds)
    ]


def settings_differ(settings: dict[str, Any], saved: dict[str, Any]) -> bool:
    """Whether a run goes on with another setting than it was saved with."""
    saved = BEFORE | saved
    return any(saved.get(name) != settings[name] for name in settings.keys() - WHICH)


def training_dtype(precision: str, device: torch.device, auto: bool) -> torch.dtype:
    """The dtype in which a run trains, to its end. auto: whether it was chosen for the device that
    the run began on."""
    here = precision_name(pick_precision("auto", device, scaled=True))
    if auto and precision not in ("auto", here):
        text = "precision: the run goes on in %s, as it began; auto would be %s on this device"
        log.warning(text, precision, here)
    return pick_precision(precision, device, scaled=True)


def check_same_dataset(dataset: str, fingerprint: str, saved: dict[str, Any] | None) -> None:
    """ValueError unless the dataset is that of the run whose last.pth holds `saved`."""
    if saved and saved["fingerprint"] != fingerprint:
        name = saved["config"]["name"]
        raise ValueError(f"{dataset}: not the dataset that {name} was trained on; give that")


def check_shared(folder: Path, steps: Sequence[int]) -> None:
    """ValueError unless all processes found the run at the same step, as in a folder that they
    share. steps: by rank; -1 where there is no last.pth to go on from."""
    for rank, step in enumerate(steps):
        if step != steps[0]:
            first, other = (f"at step {k}" if k >= 0 else "not there" for k in (steps[0], step))
            raise ValueError(
                f"{folder}: found the run {first} on rank 0 and {other} on rank {rank}; expected a"
                " folder that all machines share. See --ckpts-dir"
            )

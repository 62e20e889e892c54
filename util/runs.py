"""The folder of a run, experiments/NAME/: beginning a run there, and going on with one."""

import logging
from pathlib import Path
from typing import Any

from util.checkpoint import load_checkpoint

# Which run it is, and whether it goes on: always as asked now.
WHICH = {"name", "ckpts_dir", "resume"}
# What may change when a run goes on: none of it changes what the run computes, beyond rounding.
FREE = WHICH | {"dataset", "device", "n_threads", "compile", "log_steps", "save_minutes"}
# What last.pth holds beyond best.pth.
RESUMABLE = ("optimizer", "scheduler", "scaler", "rng", "history", "best", "running")

log = logging.getLogger(__name__)


def open_run(folder: Path, resume: bool) -> dict[str, Any] | None:
    """last.pth's content when the run in the folder goes on, None when one begins there.

    FileExistsError if the folder holds a run that shall not go on, ValueError if it holds something
    that cannot.
    """
    last = folder / "last.pth"
    if resume and last.exists():
        state = load_checkpoint(last)
        lacking = [name for name in RESUMABLE if name not in state]
        if lacking:
            raise ValueError(
                f"{last}: no {', '.join(lacking)} in it; a run goes on from its last.pth"
            )
        return state
    there = sorted(path.name for path in folder.glob("[!.]*"))
    if there and resume:
        raise ValueError(f"{folder}: found {there[0]} but no last.pth; nothing can go on from that")
    if there:
        raise FileExistsError(
            f"{folder}: holds a run already; --resume goes on with it, --name begins another"
        )
    if resume:
        log.info("%s: nothing to go on from; a new run begins", folder)
    return None


def settle(asked: dict[str, Any], given: set[str], saved: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that goes on: its `saved` ones, but what is FREE and `given` anew.

    ValueError if a setting that is not free was given with another value.
    """
    for name in sorted(given - FREE):
        if name in saved and asked[name] != saved[name]:
            raise ValueError(
                f"--{name.replace('_', '-')}: found {asked[name]}, but the run has {saved[name]}"
                " and goes on with its own settings. Leave the flag out, or begin another run"
            )
    return asked | {name: saved[name] for name in saved.keys() - WHICH - given}

"""The folder of a run, experiments/NAME/: beginning a run there, and going on with one."""

from pathlib import Path
from typing import Any

from util.checkpoint import load_checkpoint

# What may change when a run goes on: none of it changes what the run computes, beyond rounding.
FREE = {"name", "ckpts_dir", "resume", "dataset", "device", "n_threads", "log_steps"}


def open_run(folder: Path, resume: bool) -> dict[str, Any] | None:
    """last.pth's content when the run in the folder goes on, None when one begins there.

    FileExistsError if the folder holds something and the run shall not go on.
    """
    last = folder / "last.pth"
    if resume and last.exists():
        return load_checkpoint(last)
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise FileExistsError(
            f"{folder}: holds a run already; --resume goes on with it, --name begins another"
        )
    return None


def settle(asked: dict[str, Any], given: set[str], saved: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that goes on: its saved ones, and what is FREE as asked now.

    ValueError if a setting that is not free was given anew with another value.
    """
    for name in sorted(given - FREE):
        if asked[name] != saved[name]:
            raise ValueError(
                f"--{name.replace('_', '-')}: found {asked[name]}, but the run has {saved[name]}"
                " and goes on with its own settings. Leave the flag out, or begin another run"
            )
    return {**asked, **{name: value for name, value in saved.items() if name not in FREE}}

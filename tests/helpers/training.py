"""train.py with a network that learns in a second, and what its runs leave."""

from contextlib import nullcontext

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train
from model import last_look
from util import checkpoint
from util.checkpoint import load_checkpoint
from util.training import history, run_folder
from util.training.state import Training

FLAGS = (
    "--backbone-weights", "none", "--width", 32, "--height", 32, "--lr", 0.01, "--device", "cpu",
    "--precision", "float32", "--n-threads", 0, "--log-steps", 1,
)  # fmt: skip


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """curves.png is empty, and a confusion matrix is an empty figure."""
    monkeypatch.setattr(history, "plot_history", lambda rows, path, choose: path.touch())
    empty = Figure(figsize=(0.1, 0.1))
    monkeypatch.setattr(run_folder, "draw_confusion_matrix", lambda matrix, classes: empty)


def weights(folder, file="last.pth"):
    """Those that are validated."""
    return load_checkpoint(folder / file)["state_dict"]


def last_weights(folder):
    """Those that training goes on with."""
    return load_checkpoint(folder / "last.pth")["weights"]


def assert_same_weights(one, two):
    for a, b in (
        (weights(one, "last.pth"), weights(two, "last.pth")),
        (weights(one, "best.pth"), weights(two, "best.pth")),
        (last_weights(one), last_weights(two)),
    ):
        assert list(a) == list(b)
        for name in a:
            assert torch.equal(a[name], b[name]), name


def history_of(folder) -> pd.DataFrame:
    """history.csv without speeds, which differ from run to run."""
    return pd.read_csv(folder / "history.csv").drop(columns="images_per_second")


def events_of(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def moments_of(monkeypatch, stop_at=None):
    """A list that grows at each look at the loss and before each save; stops the run at one."""
    moments = []

    def stopping(function):
        def call(*words):
            moments.append(function)
            if len(moments) == stop_at:
                raise KeyboardInterrupt
            return function(*words)

        return call

    for module in (run_folder, last_look):
        monkeypatch.setattr(module, "save_checkpoint", stopping(module.save_checkpoint))
    monkeypatch.setattr(Training, "check", stopping(Training.check))
    return moments


def saves_of(monkeypatch, stop_after=None):
    """The files that are saved, "" within an epoch, and their steps; stops after so many saves."""
    saves, steps, save = [], [], checkpoint.save_checkpoint

    def stopping(path, content):
        save(path, content)
        saves.append("" if content.get("running", (0,))[0] else path.name)
        steps.append(content["step"])
        if len(saves) == stop_after:
            raise KeyboardInterrupt

    for module in (run_folder, last_look):
        monkeypatch.setattr(module, "save_checkpoint", stopping)
    return saves, steps


class Stop:
    """In place of a signal: asks to stop from the n-th time on that it is asked."""

    def __init__(self, at):
        self.left = at

    def __call__(self):
        self.left -= 1
        return self.left < 0


def ask_to_stop(monkeypatch, at):
    monkeypatch.setattr(train, "stop_asked", lambda: nullcontext(Stop(at)))


def power_cut(*_):
    raise OSError("power cut")

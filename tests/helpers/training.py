"""train.py with a network that learns in a second, and what its runs leave."""

import pandas as pd
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import model.start
import model.weights
import train
from tests.helpers.networks import TinyNext
from util.checkpoint import load_checkpoint

FLAGS = (
    "--backbone-weights", "none", "--width", 32, "--height", 32, "--lr", 0.01, "--device", "cpu",
    "--precision", "float32", "--n-threads", 0, "--log-steps", 1,
)  # fmt: skip
MODULES = (train, model.start, model.weights)  # that make a COVIDNext50 for train.py


def use_tiny_network() -> None:
    for module in MODULES:
        module.COVIDNext50 = TinyNext


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


def history(folder):
    """history.csv without speeds, which differ from run to run."""
    return pd.read_csv(folder / "history.csv").drop(columns="images_per_second")


def events_of(folder) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events

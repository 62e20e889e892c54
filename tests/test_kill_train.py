"""train.py killed with SIGKILL twenty times, and resumed each time: the weights are the same."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from util.checkpoint import load_checkpoint

ROOT = Path(__file__).parent.parent
KILLS = 20
# train.py with the small network of the tests, its steps slow enough to be killed in.
PROGRAM = """
import sys, time, train
from tests.networks import TinyNext
from util.script import run
import torch
torch.set_num_threads(1)
train.COVIDNext50 = TinyNext
see = train.Watch.see
train.Watch.see = lambda *words: (time.sleep(0.02), see(*words))
args = train.arguments()
run(lambda: train.main(args), "train.py")
"""


@pytest.fixture
def begin(dataset, tmp_path):
    """Starts train.py as run `name`; returns the process."""

    def start(name, *flags):
        words = [
            "--dataset", dataset, "--ckpts-dir", tmp_path, "--name", name, "--device", "cpu",
            "--precision", "float32", "--width", 32, "--height", 32, "--backbone-weights", "none",
            "--n-threads", 1, "--epochs", 12, "--batch-size", 8, "--lr", 0.01,
            "--save-minutes", 0, *flags,
        ]  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    return start


def wait_for(condition, process):
    while process.poll() is None and not condition():
        time.sleep(0.005)


def same(one, two):
    for file in ("last.pth", "best.pth"):
        a, b = (load_checkpoint(folder / file)["state_dict"] for folder in (one, two))
        for name, value in a.items():
            assert torch.equal(value, b[name]), name


def test_after_twenty_kills_the_weights_are_those_of_an_unbroken_run(begin, tmp_path):
    whole = begin("whole")
    assert whole.wait() == 0, whole.stderr.read()
    draw = random.Random(0)
    last, kills = tmp_path / "broken" / "last.pth", 0
    while kills < KILLS:
        process = begin("broken", "--resume")
        before = last.stat().st_mtime_ns if last.exists() else 0
        # It has come to its work when it saves; then a moment of 0 to 8 steps, saves among them.
        wait_for(lambda seen=before: last.exists() and last.stat().st_mtime_ns != seen, process)
        time.sleep(0.2 * draw.random())
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    assert kills == KILLS
    process = begin("broken", "--resume")
    assert process.wait() == 0, process.stderr.read()
    same(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_reports_the_best_so_far_and_is_status_130(begin, tmp_path, number):
    process = begin("a", "--save-minutes", 60, "--epochs", 4)
    wait_for((tmp_path / "a" / "history.csv").exists, process)
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "best validation macro F1 so far: 0." in said
    assert said.endswith("train.py: interrupted\n")
    assert load_checkpoint(tmp_path / "a" / "last.pth")["step"] > 0
    assert begin("a", "--resume", "--epochs", 4).wait() == 0
    assert begin("whole", "--epochs", 4).wait() == 0
    same(tmp_path / "whole", tmp_path / "a")

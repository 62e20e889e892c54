"""train.py killed with SIGKILL twenty times, and resumed each time: the weights are the same."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.helpers.paths import ROOT
from util.checkpoint import load_checkpoint

KILLS = 20
# train.py with the small network of the tests, its steps slow enough to be killed in. What takes
# seconds to import is imported once: each line that comes in starts a process that has it.
PROGRAM = """
import json, os, sys, time
import pytest
import torch, train
from tests.helpers.training import draw_nothing, use_tiny_network
from util.script import run
from util.training.divergence import DivergenceWatch
use_tiny_network(pytest.MonkeyPatch())
draw_nothing(pytest.MonkeyPatch())
see = DivergenceWatch.see
DivergenceWatch.see = lambda *words: (time.sleep(0.02), see(*words))
for line in sys.stdin:
    said, method, *words = json.loads(line)
    if (child := os.fork()) == 0:
        os.setpgid(0, 0)
        torch.multiprocessing.set_start_method(method, force=True)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
        torch.set_num_threads(1)
        sys.argv = ["train.py", *words]
        args = train.arguments()
        try:
            run(lambda: train.main(args), "train.py")
        except SystemExit as end:
            os._exit(end.code or 0)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Process:
    """One run of train.py in a process that `server` starts. method: how that starts others."""

    def __init__(self, server, said, method, words):
        self.server, self.said = server, said
        said.write_text("")
        words = [str(word) for word in (said, method, *words)]
        server.stdin.write(json.dumps(words).encode() + b"\n")
        self.pid = int(server.stdout.readline())

    def alive(self):
        return not select.select([self.server.stdout], [], [], 0)[0]

    def kill(self, number):
        os.kill(self.pid, number)

    def wait(self):
        """The exit status; minus the signal that ended it."""
        return int(self.server.stdout.readline())


@pytest.fixture
def begin(dataset, tmp_path):
    """Starts train.py as run `name`."""
    server = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
    )  # fmt: skip

    def start(name, *flags, method="fork"):
        words = [
            "--dataset", dataset, "--ckpts-dir", tmp_path, "--name", name, "--device", "cpu",
            "--precision", "float32", "--width", 32, "--height", 32, "--backbone-weights", "none",
            "--n-threads", 1, "--epochs", 12, "--batch-size", 8, "--lr", 0.01,
            "--save-minutes", 0, *flags,
        ]  # fmt: skip
        return Process(server, tmp_path / "said.txt", method, words)

    yield start
    server.stdin.close()
    server.wait()


def wait_for(condition, process):
    while process.alive() and not condition():
        time.sleep(0.005)


def same(one, two):
    for file in ("last.pth", "best.pth"):
        a, b = (load_checkpoint(folder / file)["state_dict"] for folder in (one, two))
        for name, value in a.items():
            assert value.equal(b[name]), name


def test_after_twenty_kills_the_weights_are_those_of_an_unbroken_run(begin, tmp_path):
    whole = begin("whole")
    assert whole.wait() == 0, whole.said.read_text()
    draw = random.Random(0)
    last, kills = tmp_path / "broken" / "last.pth", 0
    while kills < KILLS:
        process = begin("broken", "--resume")
        before = last.stat().st_mtime_ns if last.exists() else 0
        # It has come to its work when it saves; then a moment of 0 to 8 steps, saves among them.
        wait_for(lambda seen=before: last.exists() and last.stat().st_mtime_ns != seen, process)
        time.sleep(0.2 * draw.random())
        process.kill(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    assert kills == KILLS
    process = begin("broken", "--resume")
    assert process.wait() == 0, process.said.read_text()
    same(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ctrl_c_saves_reports_the_best_so_far_and_is_status_130(begin, tmp_path, number, method):
    process = begin("a", "--save-minutes", 60, "--epochs", 4, method=method)
    wait_for((tmp_path / "a" / "history.csv").exists, process)
    os.killpg(process.pid, number)  # a terminal, torchrun and Slurm reach who reads ahead, too
    assert process.wait() == 130, process.said.read_text()
    said = process.said.read_text()
    assert "Stopping after this step; Ctrl-C once more stops at once" in said
    assert "best validation macro F1 so far: 0." in said
    assert said.endswith("train.py: interrupted\n")
    assert load_checkpoint(tmp_path / "a" / "last.pth")["step"] > 0
    assert begin("a", "--resume", "--epochs", 4).wait() == 0
    assert begin("whole", "--epochs", 4).wait() == 0
    same(tmp_path / "whole", tmp_path / "a")


def test_ctrl_c_is_not_heard_by_processes_that_start_to_read(begin, tmp_path):
    process = begin("a", method="spawn")
    wait_for(lambda: len(psutil.Process(process.pid).children()) == 2, process)  # one tracks memory
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # they import torch now, which takes seconds
    assert process.wait() == 130, process.said.read_text()
    assert process.said.read_text().endswith("train.py: interrupted\n")
    assert load_checkpoint(tmp_path / "a" / "last.pth")["step"] > 0

"""train.py killed with SIGKILL twenty times, and resumed each time: the weights are the same."""

import itertools
import os
import random
import signal
import time

import psutil
import pytest

from tests.helpers import training
from tests.helpers.forked import Process, Server
from util.checkpoint import load_checkpoint

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and POSIX signals")
KILLS = 20


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def begin(server, dataset, tmp_path_factory):
    """Starts train.py, with slow steps, as run `name` in a folder."""

    def start(folder, name, *flags, method="fork"):
        words = ("--dataset", dataset, "--ckpts-dir", folder, "--name", name, *training.FLAGS)
        more = ("--n-threads", 1, "--batch-size", 8, "--save-minutes", 0)
        return Process(
            server, folder / f"{name}.txt", ("slowly", folder, *words, *more, *flags), method=method
        )

    return start


@pytest.fixture(scope="module")
def whole(begin, tmp_path_factory):
    """The folder of a run of four epochs that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    process = begin(folder, "whole", "--epochs", 4)
    assert process.wait() == 0, process.stderr.read_text()
    return folder / "whole"


def wait_for(condition, process):
    while process.alive() and not condition():
        time.sleep(0.005)


def test_after_twenty_kills_the_weights_are_those_of_an_unbroken_run(begin, tmp_path):
    whole = begin(tmp_path, "whole", "--epochs", 12)
    assert whole.wait() == 0, whole.stderr.read_text()
    draw = random.Random(0)
    last, kills = tmp_path / "broken" / "last.pth", 0
    while kills < KILLS:
        process = begin(tmp_path, "broken", "--epochs", 12, "--resume")
        before = last.stat().st_mtime_ns if last.exists() else 0
        # It has come to its work when it saves; then a moment of 0 to 8 steps, saves among them.
        wait_for(lambda seen=before: last.exists() and last.stat().st_mtime_ns != seen, process)
        time.sleep(0.2 * draw.random())
        os.kill(process.pid, signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
    assert kills == KILLS
    process = begin(tmp_path, "broken", "--epochs", 12, "--resume")
    assert process.wait() == 0, process.stderr.read_text()
    training.assert_same_weights(tmp_path / "whole", tmp_path / "broken")


def test_a_killed_process_that_reads_ends_the_run_with_one_line_and_it_goes_on(
    begin, whole, tmp_path
):
    """At several moments: while it starts, between steps, in the middle of a batch or a save."""
    flags = ("--epochs", 4, "--n-threads", 2, "--resume")
    for moment in (0, 0.05, 0.3):
        process = begin(tmp_path, "a", *flags)
        wait_for(lambda pid=process.pid: len(psutil.Process(pid).children()) == 2, process)
        time.sleep(moment)
        reader = psutil.Process(process.pid).children()[0]
        reader.kill()
        began = time.monotonic()
        assert process.wait() == 1, process.stderr.read_text()
        assert time.monotonic() - began < 15
        said = process.stderr.read_text().splitlines()[-1]
        assert said.startswith("train.py: n_threads: a process that reads images was killed;")
    process = begin(tmp_path, "a", *flags)
    assert process.wait() == 0, process.stderr.read_text()
    training.assert_same_weights(whole, tmp_path / "a")


@pytest.mark.parametrize(
    ("method", "number"),
    list(itertools.product(["fork", "spawn"], [signal.SIGINT, signal.SIGTERM])),
)
def test_ctrl_c_saves_reports_the_best_so_far_and_is_status_130(
    begin, whole, tmp_path, method, number
):
    process = begin(tmp_path, "a", "--save-minutes", 60, "--epochs", 4, method=method)
    wait_for((tmp_path / "a" / "history.csv").exists, process)
    os.killpg(process.pid, number)  # a terminal, torchrun and Slurm reach who reads ahead, too
    assert process.wait() == 130, process.stderr.read_text()
    said = process.stderr.read_text()
    assert "Stopping after this step; Ctrl-C once more stops at once" in said
    assert "best validation macro F1 so far: 0." in said
    assert said.endswith("train.py: interrupted\n")
    assert load_checkpoint(tmp_path / "a" / "last.pth")["step"] > 0
    assert begin(tmp_path, "a", "--resume", "--epochs", 4).wait() == 0
    training.assert_same_weights(whole, tmp_path / "a")


def test_ctrl_c_is_not_heard_by_processes_that_start_to_read(begin, tmp_path):
    process = begin(tmp_path, "a", "--epochs", 2, method="spawn")
    wait_for(lambda: len(psutil.Process(process.pid).children()) == 2, process)  # one tracks memory
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # they import torch now, which takes seconds
    assert process.wait() == 130, process.stderr.read_text()
    assert process.stderr.read_text().endswith("train.py: interrupted\n")
    assert load_checkpoint(tmp_path / "a" / "last.pth")["step"] > 0

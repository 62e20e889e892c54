"""generate_dataset.py killed with SIGKILL at ten moments: the same command completes the job."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import generate_dataset
from data.prepare import prepare
from tests.conftest import content
from tests.helpers import systems
from tests.helpers.paths import ROOT

pytestmark = systems.posix

MOMENTS = 10


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    raw = tmp_path_factory.mktemp("raw")
    gray = np.random.default_rng(0)
    for k in range(24):
        path = raw / ("normal", "COVID-19")[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(gray.integers(0, 256, (64, 64), np.uint8)).save(path)
    return ["--folder", raw, "--size", "64", "--workers", "2"]


def begin(folder, flags):
    """Starts the command; returns it when it has cleared what a killed one left, and works."""
    left = partial(folder) / ".audit.0a1b2c3d.png"  # as if half written
    if left.parent.exists():
        left.touch()
    command = [sys.executable, "generate_dataset.py", folder, *flags]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and (left.exists() or not partial(folder).exists()):
        time.sleep(0.002)
    return process


def partial(folder):
    return folder.with_name(f"{folder.name}.partial")


@pytest.fixture(scope="module")
def unbroken(flags, tmp_path_factory):
    """The content of the folder, and the seconds that the command works on it."""
    folder = tmp_path_factory.mktemp("unbroken") / "set"
    process = begin(folder, flags)
    start = time.monotonic()
    assert process.wait() == 0
    return content(folder), time.monotonic() - start


@pytest.mark.parametrize("pair", range(MOMENTS // 2))
def test_after_two_kills_at_any_moment_the_same_command_gives_the_unbroken_folder(
    pair, flags, unbroken, tmp_path, script, monkeypatch
):
    expected, seconds = unbroken
    folder = tmp_path / "set"
    for moment in (pair, MOMENTS - 1 - pair):  # the second run clears what the first one left
        process = begin(folder, flags)
        # One in each tenth of the work; the last is while the tables are written, or after it.
        time.sleep(seconds * (moment + random.Random(moment).random()) / MOMENTS)
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0 or folder.exists():  # all was done
            assert content(folder) == expected
            assert not partial(folder).exists()
            return
        assert partial(folder).exists()
    # In this process, as starting others takes longer than reading the images.
    monkeypatch.setattr(generate_dataset, "prepare", lambda *what: prepare(*what[:-1], workers=0))
    script(generate_dataset, folder, *flags)
    assert content(folder) == expected
    assert not partial(folder).exists()

"""generate_dataset.py killed with SIGKILL at ten moments: the same command completes the job."""

import random
import signal
import subprocess
import sys
import time

import pytest

import generate_dataset
from benchmarks.measure import source_flags
from data.sample import write_sample
from tests.conftest import content
from tests.helpers import systems
from tests.helpers.paths import ROOT

pytestmark = systems.posix

MOMENTS = 10


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    raw = write_sample(tmp_path_factory.mktemp("raw"), patients=12, size=64)
    return [*source_flags(raw), "--size", "64", "--workers", "2"]


def begin(folder, flags):
    """Starts the command; returns it when it has begun to work."""
    command = [sys.executable, "generate_dataset.py", folder, *flags]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not partial(folder).exists():
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


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_after_a_kill_at_any_moment_the_same_command_gives_the_unbroken_folder(
    moment, flags, unbroken, tmp_path, script
):
    expected, seconds = unbroken
    folder = tmp_path / "set"
    process = begin(folder, flags)
    # One moment in each tenth of the work; the last is while the tables are written, or after it.
    time.sleep(seconds * (moment + random.Random(moment).random()) / MOMENTS)
    process.send_signal(signal.SIGKILL)
    if process.wait() == 0 or folder.exists():  # all was done
        assert content(folder) == expected
        assert not partial(folder).exists()
        return
    assert partial(folder).exists()
    script(generate_dataset, folder, *flags)
    assert content(folder) == expected
    assert not partial(folder).exists()

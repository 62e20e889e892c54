"""How long a command takes, and how much memory it and its child processes hold."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import psutil

ROOT = Path(__file__).parent.parent
INTERVAL = 0.05  # seconds between two readings of the memory, where it matters


def source_flags(folders: Mapping[str, Path]) -> list[str]:
    """The flags that give sources (name -> folder) to generate_dataset.py."""
    return [word for name, folder in folders.items() for word in (f"--{name}", str(folder))]


@dataclass(frozen=True)
class Measured:
    """Of all processes of the command together: `cpu` seconds, the `peak` of resident MiB, and what
    it `said` on standard output.

    On a busy machine `seconds` depend on the other processes there, `cpu` depends on them less.
    """

    seconds: float
    cpu: float
    peak: float
    said: str = ""


def measure(
    *words: object, interval: float = INTERVAL, over: Callable[[], bool] = lambda: False
) -> Measured:
    """Runs `python WORDS` in the root of the project. ChildProcessError if it fails.

    interval: seconds between two readings of the memory, and two questions whether it is `over`;
    it is then asked to stop, and what it takes to do so does not count.
    """
    start, cpu, peak, stopped = time.perf_counter(), _cpu_of_children(), 0, False
    with (
        TemporaryFile("w+") as errors,  # a pipe that nobody reads would fill up
        TemporaryFile("w+") as output,
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            cwd=ROOT,
            stdout=output,
            stderr=errors,
        ) as process,
    ):
        while process.poll() is None and not (stopped := over()):
            peak = max(peak, _resident(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(interval)
        seconds = time.perf_counter() - start
        if stopped:
            process.terminate()
        if process.wait() and not stopped:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["no error message"])[-1]
            raise ChildProcessError(f"python {' '.join(map(str, words))}: {last}")
        output.seek(0)
        said = output.read()
    return Measured(seconds, _cpu_of_children() - cpu, peak / 2**20, said)


def _cpu_of_children() -> float:
    """Seconds, of all child processes that have ended and of their children."""
    times = os.times()
    return times.children_user + times.children_system


def _resident(pid: int) -> int:
    """Bytes of a process and its children; memory that two of them share counts twice."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # it has ended in the meantime
    return total

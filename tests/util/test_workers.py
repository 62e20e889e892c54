"""Jobs in processes that may die. They are functions of this module, so that they can travel."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from tests.helpers import systems
from util.workers import WINDOW, NoResult, ctrl_c_deferred, map_in_processes


def double(item):
    return 2 * item


def slow_first(item):
    time.sleep(0.3 if item == 0 else 0)
    return item


def deadly(item, deaths, folder):
    """Dies at an item as often as `deaths` says: by abort, as codecs do, or by exit."""
    before = len(list(folder.glob(f"{item}-*")))
    if before < deaths.get(item, 0):
        Path(folder, f"{item}-{before}").touch()
        os.abort() if item % 2 else os._exit(3)
    return item


def endless(item):
    while item == 3:
        time.sleep(0.01)
    return item


def faulty(item):
    if item == 5:
        raise OSError(28, "No space left on device")
    return item


class Unreachable:
    """Cannot be made in another process."""

    def __call__(self, item):
        return item

    def __reduce__(self):
        return os._exit, (7,)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(map_in_processes(double, range(50), workers)) == list(range(0, 100, 2))
    assert list(map_in_processes(slow_first, range(9), workers)) == list(range(9))


def test_no_items_need_no_process():
    assert list(map_in_processes(double, [], 2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_that_kills_two_processes_has_no_result_and_others_do(tmp_path, workers):
    job = partial(deadly, deaths={3: 2, 8: 2}, folder=tmp_path)
    results = list(map_in_processes(job, range(12), workers))
    expected = list(range(12))
    expected[3] = NoResult("the process that works on it dies (SIGABRT)")
    expected[8] = NoResult("the process that works on it dies (exit status 3)")
    assert results == expected


def test_a_process_that_is_killed_once_costs_nothing(tmp_path):
    job = partial(deadly, deaths={0: 1, 5: 1, 6: 1}, folder=tmp_path)
    results = list(map_in_processes(job, range(8), 2))
    assert results == list(range(8))
    assert len(list(tmp_path.iterdir())) == 3


def test_an_item_without_end_has_no_result_after_the_time_limit():
    results = list(map_in_processes(endless, range(6), 2, time_limit=1.5))
    assert results == [0, 1, 2, NoResult("not done after 1.5 seconds"), 4, 5]


def test_an_error_of_the_job_is_raised_with_its_traceback():
    results = map_in_processes(faulty, range(9), 1)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="No space left") as caught:
        next(results)
    assert "in faulty" in str(caught.value.__cause__)


def test_processes_that_cannot_start_are_an_error_and_not_missing_results():
    with pytest.raises(ChildProcessError, match=r"does not start \(exit status 7\)"):
        list(map_in_processes(Unreachable(), range(3), 2))


def test_no_more_than_a_window_of_items_is_read_ahead():
    class Items:
        read = 0

        def __len__(self):
            return 100_000

        def __getitem__(self, place):
            self.read = max(self.read, place)
            return place

    items = Items()
    results = map_in_processes(slow_first, items, 2)
    next(results)  # the second process had time for thousands meanwhile
    assert items.read == 2 * WINDOW - 1
    results.close()


def ignores_ctrl_c(item):
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_ctrl_c_is_for_the_main_process_only():
    before = signal.getsignal(signal.SIGINT)
    assert list(map_in_processes(ignores_ctrl_c, [0, 1], 2)) == [True, True]
    assert signal.getsignal(signal.SIGINT) is before


@systems.posix
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ctrl_c_while_a_process_starts_reaches_only_the_main_one_and_afterwards(method):
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    process = get_context(method).Process(target=time.sleep, args=(60,), daemon=True)
    try:
        with ctrl_c_deferred(method):
            process.start()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            os.kill(process.pid, signal.SIGINT)
            assert not heard
        assert heard == [1]
        process.join(0.3)
        assert process.is_alive()
    finally:
        process.kill()
        signal.signal(signal.SIGINT, before)


def test_another_thread_than_the_first_may_ask():
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(lambda: list(map_in_processes(double, [1, 2], 1))).result() == [2, 4]


def test_no_process_outlives_a_caller_that_stops_asking():
    before = set(psutil.Process().children())
    results = map_in_processes(double, range(100), 2)
    next(results)
    workers = [
        child for child in psutil.Process().children() if "--multiprocessing-fork" in command(child)
    ]
    workers = [child for child in workers if child not in before]
    assert len(workers) == 2
    results.close()
    assert not any(worker.is_running() for worker in workers)


def command(process):
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []

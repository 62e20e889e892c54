"""A function over many items, in processes that may die: in order, in bounded memory."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.pool import ExceptionWithTraceback
from time import monotonic
from typing import Any

WINDOW = 32  # items per worker that may be ahead of the result that is due
TIME_LIMIT = 120  # seconds for an item; the largest radiographs take less than 10


@contextmanager
def ctrl_c_deferred(start_method: str) -> Iterator[None]:
    """A process that starts in the block never hears Ctrl-C, except on Windows.

    Ctrl-C is for the main process, which stops the others; one that comes in the block reaches it
    at the block's end. start_method: of the process, see multiprocessing.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    if start_method != "fork":
        resource_tracker.ensure_running()  # which ends the block of signals if it starts in it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # processes inherit it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class NoResult:
    """In place of a result: why there is none."""

    reason: str


def map_in_processes(
    job: Callable[[Any], Any], items: Sequence[Any], workers: int, time_limit: float = TIME_LIMIT
) -> Iterator[Any]:
    """Yields for each item, in order, job(item) or NoResult. What the job raises is raised here.

    An item whose process dies, or takes longer than `time_limit` seconds, is given to a new one;
    if that fails, too, the item has NoResult. No other item is affected. ChildProcessError if a
    process cannot even start. They are spawned: a fork would copy the threads that the caller runs.
    """
    team = [_Worker(job, time_limit) for _ in range(min(workers, len(items)))]
    done, given = {}, 0
    try:
        for due in range(len(items)):
            while due not in done:
                for worker in team:
                    if worker.index is None and given < min(len(items), due + WINDOW * len(team)):
                        worker.give(given, items[given])
                        given += 1
                wait([worker.pipe for worker in team], timeout=1)
                for worker in team:
                    done.update(worker.answers())
            yield done.pop(due)
    finally:
        for worker in team:
            worker.stop()


class _Worker:
    """A process that works on one item at a time, and is replaced when it dies."""

    def __init__(self, job: Callable[[Any], Any], time_limit: float):
        self.job, self.time_limit = job, time_limit
        self.index, self.item, self.tries, self.deadline = None, None, 0, inf
        self.start()

    def start(self) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.job, theirs), daemon=True)
        with ctrl_c_deferred("spawn"):
            self.process.start()
        theirs.close()  # so that the pipe ends with the process
        self.started = False

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def give(self, index: int, item: Any) -> None:
        self.index, self.item, self.tries = index, item, 0
        self.send()

    def send(self) -> None:
        self.tries += 1
        self.deadline = monotonic() + self.time_limit
        with suppress(ConnectionError):  # it is dead, which `answers` will see
            self.pipe.send(self.item)

    def answers(self) -> list[tuple[int, Any]]:
        """(index, result) if there is one by now."""
        try:  # on Windows `poll`, too, raises when the process is dead
            answer = self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, ConnectionError):
            return self.dead()
        if answer is None:
            return self.overdue() if monotonic() > self.deadline else []
        self.started = True
        greeting, result, error = answer
        if error:
            raise error
        return [] if greeting else self.finish(result)

    def finish(self, result: Any) -> list[tuple[int, Any]]:
        index, self.index, self.deadline = self.index, None, inf
        return [(index, result)]

    def overdue(self) -> list[tuple[int, Any]]:
        self.stop()
        return self.again(f"not done after {self.time_limit:g} seconds")

    def dead(self) -> list[tuple[int, Any]]:
        self.stop()
        code = self.process.exitcode
        death = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        if not self.started:
            raise ChildProcessError(f"a worker process does not start ({death})")
        return self.again(f"the process that works on it dies ({death})")

    def again(self, trouble: str) -> list[tuple[int, Any]]:
        """A fresh process, which gets the item once more; after that the item is lost."""
        self.start()
        if self.index is None:
            return []
        if self.tries == 2:
            return self.finish(NoResult(trouble))
        self.send()
        return []


def _serve(job: Callable[[Any], Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows it is not blocked
    with suppress(EOFError, ConnectionError):  # when the main process is gone
        pipe.send((True, None, None))
        while True:
            item = pipe.recv()
            try:
                answer = (False, job(item), None)
            except Exception as error:
                answer = (False, None, ExceptionWithTraceback(error, error.__traceback__))
            pipe.send(answer)

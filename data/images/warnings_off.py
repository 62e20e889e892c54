"""No warnings while an odd file is read, whichever thread reads it; a filter for whole processes
would also hide what torch warns of, and would be missing in those that are spawned."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class _WarningsOff:
    """No warnings while anyone is inside.

    `warnings.catch_warnings` is for one thread: of two that overlap, the first to leave turns the
    other's warnings on again, and the last to leave turns all warnings off for good.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.lock:
            if self.inside == 0:
                self.before = warnings.catch_warnings()
                self.before.__enter__()
                warnings.simplefilter("ignore")
            self.inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if self.inside == 0:
                    self.before.__exit__(None, None, None)


warnings_off = _WarningsOff()

"""What every script does around its work: log to standard error, fail with one line."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

Item = TypeVar("Item")
log = logging.getLogger(__name__)
NOTICE = "Research tool, not a medical device: not for diagnosis."
SAME_CTRL_C = 1.0  # seconds: a second Ctrl-C within them is the first, passed on by a launcher


def run(main: Callable[[], None], prog: str) -> None:
    """Calls main; an expected failure is one line and status 1, Ctrl-C status 130.

    Expected are the ValueError and OSError with which the library reports bad input. Any other
    exception is a fault of ours and shows its traceback; `python3 -X dev` shows that of every one.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.stdout.reconfigure(errors="backslashreplace")  # the name of a file may not be valid text
    _on_ctrl_c(signal.default_int_handler)
    sys.excepthook = sys.__excepthook__  # see while_importing
    try:
        main()
    except BrokenPipeError:  # the reader of our output, such as head, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, OSError) as error:
        if sys.flags.dev_mode:
            raise
        print(f"{prog}: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        sys.exit(130)


def while_importing(prog: str, requirements: str = "requirements.txt") -> None:
    """Until `run` begins, Ctrl-C ends the process with the line and status that `run` gives it, and
    a package that is not installed with a line, too, which names the file of requirements.

    Importing torch takes seconds, in which a traceback from inside it would be shown instead.
    """

    def leave(number, frame) -> None:
        os.write(sys.stderr.fileno(), f"{prog}: interrupted\n".encode())
        os._exit(130)

    def explain(kind, error, trace) -> None:
        if kind is not ModuleNotFoundError or sys.flags.dev_mode:
            return sys.__excepthook__(kind, error, trace)
        expected = f"expected those of {requirements}: pip install -r {requirements}"
        print(f"{prog}: found no package {error.name} here; {expected}", file=sys.stderr)

    _on_ctrl_c(leave)
    sys.excepthook = explain


def draw_without_display() -> None:
    """Before matplotlib is imported, which fails over the backend that a notebook's kernel names to
    the programs it starts.
    """
    os.environ["MPLBACKEND"] = "agg"


def leave_at_once(status: int) -> NoReturn:
    """Ends the process like sys.exit, but without tearing its modules down first.

    That takes torch 0.4 s and 120 MB: a fifth of the time for one prediction.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:  # its reader has gone
            status = 1
    os._exit(status)


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """For the block, Ctrl-C and SIGTERM only make the yielded function return true.

    So a loop can end where its state is whole. A second Ctrl-C raises KeyboardInterrupt at once.
    """
    asked: float | None = None  # when

    def ask(number, frame) -> None:
        nonlocal asked
        now = time.monotonic()
        if asked is None:
            asked = now
            log.info("Stopping after this step; Ctrl-C once more stops at once")
        elif number == signal.SIGINT and now - asked > SAME_CTRL_C:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked is not None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def until(items: Iterable[Item], stop: Callable[[], bool]) -> Iterator[Item]:
    """The items, one by one, to the one at which `stop` became true."""
    for item in items:
        yield item
        if stop():
            return


def until_stopped(items: Iterable[Item], stop: Callable[[], bool]) -> Iterator[Item]:
    """The items, one by one; KeyboardInterrupt after the one at which `stop` became true."""
    for item in items:
        yield item
        if stop():
            raise KeyboardInterrupt


def _on_ctrl_c(handler: Callable) -> None:
    """Sets the handler, unless Ctrl-C is ignored, as in a process in the background."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if lines[0].startswith("Caught "):  # torch wraps what a loader process raised in its traceback
        return lines[-1].partition(": ")[2]
    return lines[0]

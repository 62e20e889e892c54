"""TensorBoard events where they cannot be written, and of names that are not valid text."""

import threading

import pytest
import torch

from util.training.progress import Progress
from util.training.tensorboard import errors_name_folder, open_writer, show_start

BEGUN = Progress.start(torch.device("cpu"))


@pytest.fixture
def printed(monkeypatch):
    """The errors of threads that come to Python's hook, which prints them."""
    printed = []
    monkeypatch.setattr(threading, "excepthook", lambda raised: printed.append(raised.exc_value))
    return printed


def write_for_ever(folder):
    writer = open_writer(folder, BEGUN, None)
    while True:
        writer.add_text("settings", "x" * 100)


def test_a_disk_full_of_events_is_an_error_that_names_the_folder_and_comes_once(
    tmp_path, small_files, printed
):
    with pytest.raises(OSError, match="File too large") as full, errors_name_folder(tmp_path):
        write_for_ever(tmp_path)
    assert (full.value.filename, printed) == (str(tmp_path), [])


def test_what_another_thread_raises_is_printed_as_ever(tmp_path, printed):
    error = OSError("elsewhere")

    def fail():
        raise error

    with errors_name_folder(tmp_path):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert printed == [error]


def test_an_error_of_something_else_gets_no_folder(tmp_path):
    with pytest.raises(OSError, match="elsewhere") as other, errors_name_folder(tmp_path):
        raise OSError(5, "elsewhere")
    assert other.value.filename is None


def test_the_settings_may_hold_a_file_name_that_is_not_utf_8(tmp_path):
    writer = open_writer(tmp_path, BEGUN, None)
    pixels = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    show_start(writer, BEGUN, {"dataset": "caf\udce9"}, pixels)
    writer.close()
    (events,) = tmp_path.iterdir()
    assert b"caf\\udce9" in events.read_bytes()

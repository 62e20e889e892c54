"""What people see of a run, where it cannot be written."""

import threading

import pytest

from util.training.history import events_in, open_history


@pytest.fixture
def told(monkeypatch):
    """What threads raised that was not heard of before it came to Python, which prints it."""
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda raised: told.append(raised.exc_value))
    return told


def write_for_ever(folder):
    writer = open_history(folder, [], None, 0)
    while True:
        writer.add_text("settings", "x" * 100)


def test_a_disk_full_of_events_is_an_error_that_names_the_folder_and_comes_once(
    tmp_path, small_files, told
):
    with pytest.raises(OSError, match="File too large") as full, events_in(tmp_path):
        write_for_ever(tmp_path)
    assert (full.value.filename, told) == (str(tmp_path), [])


def test_what_another_thread_raises_is_told_as_ever(tmp_path, told):
    error = OSError("elsewhere")

    def fail():
        raise error

    with events_in(tmp_path):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert told == [error]


def test_an_error_of_something_else_gets_no_folder(tmp_path):
    with pytest.raises(OSError, match="elsewhere") as other, events_in(tmp_path):
        raise OSError(5, "elsewhere")
    assert other.value.filename is None

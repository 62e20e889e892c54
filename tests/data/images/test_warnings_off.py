import threading
import warnings

import pytest

from data.images.warnings_off import warnings_off


@pytest.mark.parametrize("leaves_first", ["the first", "the second"])
def test_a_thread_that_leaves_does_not_let_the_warnings_of_another_out_nor_keep_them_in(
    monkeypatch, leaves_first
):
    heard, steps = [], [threading.Event() for _ in range(3)]
    monkeypatch.setattr(warnings, "showwarning", lambda *about: heard.append(str(about[0])))
    warnings.simplefilter("always")

    def other() -> None:
        with warnings_off():
            steps[0].set()
            if leaves_first == "the first":  # the main thread
                steps[1].wait(10)
                warnings.warn("of the other", stacklevel=1)
        steps[2].set()

    thread = threading.Thread(target=other)
    with warnings_off():
        thread.start()
        steps[0].wait(10)
        if leaves_first == "the second":
            steps[2].wait(10)
            warnings.warn("of the main thread", stacklevel=1)
    steps[1].set()
    thread.join()
    assert not heard
    warnings.warn("afterwards", stacklevel=1)
    assert heard == ["afterwards"]


def test_an_error_inside_ends_the_silence(monkeypatch):
    heard = []
    monkeypatch.setattr(warnings, "showwarning", lambda *about: heard.append(about))
    warnings.simplefilter("always")
    with pytest.raises(ValueError, match="broken"), warnings_off():
        raise ValueError("broken")
    warnings.warn("afterwards", stacklevel=1)
    assert len(heard) == 1

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.paths import ROOT
from util.files import (
    atomic_path,
    check_folder,
    half_written,
    locked_folder,
    require_folder,
    write_json,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_whole_and_nothing_else_stays(tmp_path):
    with atomic_path(tmp_path / "best.pth") as temporary:
        temporary.write_bytes(b"weights")
        assert not (tmp_path / "best.pth").exists()
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".pth"
    assert (tmp_path / "best.pth").read_bytes() == b"weights"
    assert names(tmp_path) == ["best.pth"]


def test_the_old_file_is_untouched_until_the_new_one_is_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "last.pth"
    path.write_bytes(b"old")
    seen = []
    monkeypatch.setattr("util.files.os.fsync", lambda _: seen.append(path.read_bytes()))
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"new")
        written = temporary.stat().st_ino
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"
    assert path.stat().st_ino == written  # renamed, not copied


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_no_remains(tmp_path, error):
    path = tmp_path / "last.pth"
    path.write_bytes(b"old")

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["last.pth"]


def test_the_new_file_is_readable_by_others_as_any_file_is(tmp_path):
    (tmp_path / "plain").write_text("x")
    with atomic_path(tmp_path / "atomic") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_disk_that_is_full_is_reported_with_the_name_of_the_file(tmp_path, small_files):
    with pytest.raises(OSError, match=r"last.txt'$"), atomic_path(tmp_path / "last.txt") as path:
        path.write_bytes(bytes(2 * small_files))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        (".last.0a1b2c3d.pth", "last.pth"), (".a.b.0a1b2c3d.npy", "a.b.npy"),
        (".notes.0a1b2c3d", "notes"), ("last.pth", None), (".last.pth", None),
        (".last.0a1b.pth", None), ("last.0a1b2c3d.pth", None),
    ],
)  # fmt: skip
def test_what_is_half_written_is_known_by_its_name(tmp_path, name, whole):
    assert half_written(name) == whole
    if whole:
        with atomic_path(tmp_path / whole) as temporary:
            temporary.touch()
        assert half_written(temporary.name) == whole


def test_a_folder_that_cannot_be_written_to_or_read_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(PermissionError, match="no permission to write here; choose another"):
        check_folder(tmp_path / "new" / "folder")
    with pytest.raises(PermissionError, match="no permission to read this folder"):
        require_folder(tmp_path, "")
    assert names(tmp_path) == []


HOLD = """
import os, sys; from util.files import locked_folder
with locked_folder(sys.argv[1]):
    forks = hasattr(os, "fork")
    child = forks and os.fork() == 0  # like a process that reads for training
    if child or not forks: print("mine", flush=True)
    sys.stdin.read()
    if child: os._exit(0)
"""


def hold(folder):
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def test_a_folder_is_locked_until_its_process_is_killed_even_if_a_child_outlives_that(tmp_path):
    with hold(tmp_path / "run") as first:
        assert first.stdout.readline() == "mine\n"
        (tmp_path / "run" / "last.pth").touch()
        with pytest.raises(FileExistsError) as caught, locked_folder(tmp_path / "run"):
            pass
        assert str(caught.value) == (
            f"{tmp_path / 'run'}: another process is writing it; let it end, or choose another"
            " folder"
        )
        first.kill()
        first.wait()
        with locked_folder(tmp_path / "run"):
            pass
    assert names(tmp_path / "run") == ["last.pth"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_where_the_file_system_has_no_locks_every_process_gets_it(tmp_path, monkeypatch, number):
    def flock(file, operation):
        raise OSError(number, "no locks")

    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", flock)
    with locked_folder(tmp_path / "run"), locked_folder(tmp_path / "run"):
        pass
    assert names(tmp_path) == []


def test_a_locked_folder_in_which_nothing_was_written_is_removed(tmp_path):
    with locked_folder(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()
    assert names(tmp_path) == []


def test_folders_made_above_a_locked_one_that_stays_empty_are_removed_and_no_others(tmp_path):
    (tmp_path / "there").mkdir()
    with locked_folder(tmp_path / "there" / "experiments" / "run"):
        pass
    assert names(tmp_path / "there") == []
    with locked_folder(tmp_path / "a" / "run"):
        (tmp_path / "a" / "run" / "last.pth").touch()
    assert names(tmp_path / "a") == ["run"]


def test_json_holds_null_for_what_is_not_a_number_and_plain_values_for_numpys(tmp_path):
    value = {
        "nan": float("nan"),
        "inside": [1.5, (np.float64("nan"), np.float32(0.25))],
        "infinity": -np.inf,
        "matrix": np.array([[1, 2], [3, 4]]),
        "count": np.int64(7),
        "flag": np.bool_(True),
        "name": "Müller",
    }
    write_json(tmp_path / "metrics.json", value)
    text = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert json.loads(text) == {
        "nan": None,
        "inside": [1.5, [None, 0.25]],
        "infinity": None,
        "matrix": [[1, 2], [3, 4]],
        "count": 7,
        "flag": True,
        "name": "Müller",
    }
    assert "NaN" not in text
    assert "Müller" in text


def test_json_holds_a_file_name_that_is_not_utf_8(tmp_path):
    write_json(tmp_path / "a.json", {"folder": "caf\udce9"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"folder": "caf\udce9"}


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "metrics.json", {"accuracy": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "metrics.json", {"accuracy": object()})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"accuracy": 1}
    assert names(tmp_path) == ["metrics.json"]

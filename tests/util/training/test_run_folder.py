"""The folder of a run: when one begins there, when one goes on, when it is saved."""

import pytest
import torch

from util.checkpoint import RESUMABLE, save_checkpoint
from util.files import atomic_path
from util.training.run_folder import RunFolder


def test_a_run_begins_in_a_folder_that_is_missing_or_empty(tmp_path):
    assert RunFolder(tmp_path / "new").open(resume=False) is None
    assert RunFolder(tmp_path).open(resume=False) is None


def test_a_run_whose_best_was_lost_is_refused_before_it_trains_on(tmp_path):
    extra = dict.fromkeys(RESUMABLE) | {"history": [{}, {}]}
    save_checkpoint(tmp_path / "last.pth", {"state_dict": {}, **extra})
    with pytest.raises(FileNotFoundError, match=r"last.pth of 2 epochs but no best.pth; put"):
        RunFolder(tmp_path).open(resume=True)
    save_checkpoint(tmp_path / "best.pth", {"state_dict": {}})
    assert RunFolder(tmp_path).open(resume=True)["history"] == [{}, {}]


def test_with_resume_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / ".last.1234.pth").write_bytes(b"half")  # as a save that was killed leaves it
    assert RunFolder(tmp_path).open(resume=True) is None
    assert "a new run begins" in caplog.text


def test_a_best_without_a_last_is_not_overwritten_by_resume(tmp_path):
    save_checkpoint(tmp_path / "best.pth", {"state_dict": {}})
    with pytest.raises(ValueError, match=r"found best.pth but no last.pth"):
        RunFolder(tmp_path).open(resume=True)


def test_a_checkpoint_without_the_state_of_the_training_does_not_resume(tmp_path):
    save_checkpoint(tmp_path / "last.pth", {"state_dict": {}})
    with pytest.raises(ValueError, match=r"last.pth: no weights, optimizer, .* in it"):
        RunFolder(tmp_path).open(resume=True)


def begun(folder, step):
    """As a run leaves it that was stopped before its first epoch was over."""
    form = {"size": (32, 32), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    about = {"state_dict": {}, "mapping": {}, "input": form, "config": {}}
    save_checkpoint(folder / "last.pth", about | {"step": step})
    (folder / "config.json").touch()
    (folder / "events.out.tfevents.1.host").touch()


def test_a_run_that_never_took_a_step_is_not_in_the_way_of_another(tmp_path):
    begun(tmp_path, 0)
    assert RunFolder(tmp_path).open(resume=False) is None
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileExistsError, match="holds a run already"):
        RunFolder(tmp_path).open(resume=False)


def test_a_run_that_took_a_step_is_in_the_way_of_another(tmp_path):
    begun(tmp_path, 1)
    with pytest.raises(FileExistsError, match="holds a run already"):
        RunFolder(tmp_path).open(resume=False)


def test_half_written_files_of_killed_processes_are_removed_and_no_others(tmp_path):
    stay = ["last.pth", ".hidden", ".last.pth", "curves.0123abcd.png", ".notes.0123abcd.txt"]
    for name in stay:
        (tmp_path / name).touch()
    for name in ("last.pth", "best.pth", "config.json", "history.csv", "curves.png"):
        with atomic_path(tmp_path / name) as half:
            half.touch()
        (tmp_path / name).rename(half)  # as a killed process leaves it
    (tmp_path / "last.pth").touch()
    assert len(list(tmp_path.iterdir())) == len(stay) + 5
    RunFolder(tmp_path, writes=False).remove_half_written()
    assert len(list(tmp_path.iterdir())) == len(stay) + 5
    RunFolder(tmp_path).remove_half_written()
    assert {path.name for path in tmp_path.iterdir()} == set(stay)


def test_a_last_of_before_that_has_the_id_of_its_launch_goes_on(tmp_path):
    old = {"state_dict": {}, "step": 7, "launch": "a", **dict.fromkeys(RESUMABLE)}
    torch.save(old, tmp_path / "last.pth")
    assert RunFolder(tmp_path).open(resume=True)["step"] == 7


def test_a_save_is_due_when_the_last_one_is_more_than_save_minutes_ago(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    folder = RunFolder(tmp_path)
    folder.save_minutes = 2
    now[0] += 120
    assert not folder.due()
    now[0] += 1
    assert folder.due()

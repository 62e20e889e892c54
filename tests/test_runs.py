"""The folder of a run: when one begins, when one goes on, with which settings."""

import pytest
import torch

from util.checkpoint import save_checkpoint
from util.runs import RESUMABLE, open_run, settle


def test_a_run_begins_in_a_folder_that_is_missing_or_empty(tmp_path):
    assert open_run(tmp_path / "new", resume=False) is None
    assert open_run(tmp_path, resume=False) is None


def test_a_folder_with_a_run_is_left_alone_without_resume(tmp_path):
    save_checkpoint(tmp_path / "last.pth", {"state_dict": {}})
    with pytest.raises(FileExistsError, match=r"holds a run already; --resume goes on with it"):
        open_run(tmp_path, resume=False)


def test_with_resume_the_run_goes_on_from_last(tmp_path):
    extra = dict.fromkeys(RESUMABLE)
    save_checkpoint(tmp_path / "last.pth", {"state_dict": {"w": torch.ones(1)}, "step": 7, **extra})
    assert open_run(tmp_path, resume=True)["step"] == 7


def test_with_resume_a_run_killed_before_its_first_checkpoint_begins_again(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / ".last.1234.pth").write_bytes(b"half")  # as a save that was killed leaves it
    assert open_run(tmp_path, resume=True) is None
    assert "a new run begins" in caplog.text


def test_a_best_without_a_last_is_not_overwritten_by_resume(tmp_path):
    save_checkpoint(tmp_path / "best.pth", {"state_dict": {}})
    with pytest.raises(ValueError, match=r"found best.pth but no last.pth"):
        open_run(tmp_path, resume=True)


def test_a_checkpoint_that_is_no_last_does_not_resume(tmp_path):
    save_checkpoint(tmp_path / "last.pth", {"state_dict": {}})
    with pytest.raises(ValueError, match=r"last.pth: no optimizer, scheduler, .* in it"):
        open_run(tmp_path, resume=True)


SAVED = {"name": "a", "lr": 0.1, "epochs": 5, "dataset": "x", "device": "cpu", "resume": False}


def test_a_run_goes_on_with_its_own_settings_dataset_and_device_included():
    asked = {"name": "a", "lr": 0.9, "epochs": 20, "dataset": "dataset", "device": "auto"}
    asked["resume"] = True
    assert settle(asked, {"resume", "name"}, SAVED) == {**SAVED, "resume": True}


def test_what_does_not_change_the_result_may_be_given_anew():
    asked = {**SAVED, "dataset": "y", "device": "cuda"}
    assert settle(asked, {"dataset", "device"}, SAVED) == asked


def test_another_value_for_what_changes_the_result_is_refused():
    with pytest.raises(ValueError, match=r"--epochs: found 9, but the run has 5"):
        settle({**SAVED, "epochs": 9}, {"epochs"}, SAVED)


def test_the_same_value_given_again_is_fine():
    assert settle(SAVED, {"epochs", "lr"}, SAVED) == SAVED

"""The folder of a run: when one begins, when one goes on, with which settings."""

from copy import deepcopy

import pytest
import torch

from util.checkpoint import save_checkpoint
from util.files import atomic_path
from util.training.run_folder import (
    RESUMABLE,
    Progress,
    check_shared,
    differ,
    open_run,
    settle,
    sweep,
)


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


def test_a_run_whose_best_was_lost_is_told_so_before_it_trains_on(tmp_path):
    extra = dict.fromkeys(RESUMABLE) | {"history": [{}, {}]}
    save_checkpoint(tmp_path / "last.pth", {"state_dict": {}, **extra})
    with pytest.raises(FileNotFoundError, match=r"last.pth of 2 epochs but no best.pth; put"):
        open_run(tmp_path, resume=True)
    save_checkpoint(tmp_path / "best.pth", {"state_dict": {}})
    assert open_run(tmp_path, resume=True)["history"] == [{}, {}]


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
    with pytest.raises(ValueError, match=r"last.pth: no weights, optimizer, .* in it"):
        open_run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("began", "again", "goes_on"),
    [
        ("a", "a", True),
        ("a", "b", False),  # the run of another launch
        ("", "a", False),  # begun without torchrun
        ("a", "", False),  # torchrun's id is "none", which says nothing
        ("", "", False),
        ("a", None, False),  # the first start
    ],
)
def test_a_process_started_anew_goes_on_with_the_run_of_its_own_launch_alone(
    tmp_path, began, again, goes_on
):
    content = {"state_dict": {}, "step": 7, "launch": began, **dict.fromkeys(RESUMABLE)}
    save_checkpoint(tmp_path / "last.pth", content)
    if goes_on:
        assert open_run(tmp_path, resume=False, again=again)["step"] == 7
    else:
        with pytest.raises(FileExistsError, match="holds a run") as error:
            open_run(tmp_path, resume=False, again=again)
        assert ("Give torchrun --rdzv-id" in str(error.value)) == (again == "")
    assert open_run(tmp_path, resume=True, again=again)["step"] == 7


def test_a_process_started_anew_before_the_first_save_begins_the_run(tmp_path):
    assert open_run(tmp_path, resume=False, again="a") is None
    assert open_run(tmp_path, resume=False, again="") is None


def test_a_run_that_its_machines_do_not_share_is_told_before_they_wait_for_each_other(tmp_path):
    check_shared(tmp_path, [4, 4, 4])
    check_shared(tmp_path, [-1, -1])
    message = r"found the run at step 4 on rank 0 and {} on rank 2; expected a folder that all"
    with pytest.raises(ValueError, match=message.format("not there")):
        check_shared(tmp_path, [4, 4, -1])
    with pytest.raises(ValueError, match=message.format("at step 7")):
        check_shared(tmp_path, [4, 4, 7])


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
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(stay)


def test_the_progress_of_a_run_that_goes_on_is_that_of_one_that_never_stopped():
    def epoch(progress, losses):
        for loss in losses:
            progress.count(torch.tensor(loss))

    whole = Progress.of(None, torch.device("cpu"))
    assert (whole.best, whole.metrics, whole.epoch) == (None, {}, 0)
    epoch(whole, [1.0, 2.0])
    assert whole.end_epoch({"macro_f1": 0.5, "loss": 1.0}, [[1]], lr=0.1)
    epoch(whole, [3.0, 4.0])
    state = deepcopy({"step": whole.step, **whole.state()})
    again = Progress.of(state, torch.device("cpu"))
    assert again == whole
    for progress in (whole, again):
        epoch(progress, [8.0])
        assert not progress.end_epoch({"macro_f1": 0.4, "loss": 2.0}, [[2]], lr=0.2)
        assert (progress.step, progress.done, progress.epoch, progress.best) == (5, 0, 2, 0.5)
        assert progress.metrics == {"macro_f1": 0.4, "loss": 2.0}
        assert progress.history[1] == {
            "epoch": 2, "train_loss": 5.0, "lr": 0.2, "val_macro_f1": 0.4, "val_loss": 2.0,
        }  # fmt: skip


def test_what_a_run_that_ends_early_leaves_is_told():
    progress = Progress.of(None, torch.device("cpu"))
    assert progress.left() == "best validation macro F1 so far: none yet, and no best.pth"
    for score in (0.4, 0.5, 0.5):
        progress.count(torch.tensor(1.0))
        progress.end_epoch({"macro_f1": score}, [])
    assert progress.left().startswith("best validation macro F1 so far: 0.500, of epoch 2; its")


SAVED = {"name": "a", "lr": 0.1, "epochs": 5, "dataset": "x", "device": "cpu", "resume": False}


def test_a_run_goes_on_with_its_own_settings_dataset_and_device_included():
    asked = {"name": "a", "lr": 0.9, "epochs": 20, "dataset": "dataset", "device": "auto"}
    asked["resume"] = True
    assert settle(asked, {"resume", "name"}, SAVED) == {**SAVED, "resume": True}


def test_what_does_not_change_the_result_may_be_given_anew():
    asked = {**SAVED, "dataset": "y", "device": "cuda"}
    assert settle(asked, {"dataset", "device"}, SAVED) == asked


def test_how_images_are_looked_at_may_be_given_anew_and_else_stays():
    asked = {**SAVED, "test_time_augmentation": False}
    saved = {**SAVED, "test_time_augmentation": True}
    assert settle(asked, {"test_time_augmentation"}, saved) == asked
    assert settle(asked, set(), saved) == saved


def test_another_device_is_news_and_another_name_is_none():
    assert not differ({**SAVED, "name": "b", "ckpts_dir": "c", "resume": True}, SAVED)
    assert differ({**SAVED, "device": "cuda"}, SAVED)
    assert differ({**SAVED, "test_time_augmentation": True}, SAVED)  # of a run from before that


def test_another_value_for_what_changes_the_result_is_refused():
    with pytest.raises(ValueError, match=r"--epochs: found 9, but the run has 5"):
        settle({**SAVED, "epochs": 9}, {"epochs"}, SAVED)


def test_the_same_value_given_again_is_fine():
    assert settle(SAVED, {"epochs", "lr"}, SAVED) == SAVED

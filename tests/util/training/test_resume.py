"""Going on with a run: its own settings, in a folder that all machines share."""

import pytest

from util.training.resume import (
    BEFORE,
    check_shared,
    settings_differ,
    settings_of_run,
)


def resumed(asked, given, saved, n_ranks=1):
    return vars(settings_of_run(asked, given, saved, n_ranks))


SAVED = {"name": "a", "lr": 0.1, "epochs": 5, "dataset": "x", "device": "cpu", "resume": False}
SAVED |= {"choose": "macro_f1", "leave_out": None, "fold": None, "distil": None}
SAVED |= {"appearance": 0.0, "size_warmup_epochs": 0.0, "keep_weights": 0.0}


def test_a_run_goes_on_with_its_own_settings_dataset_and_device_included():
    asked = {"name": "a", "lr": 0.9, "epochs": 20, "dataset": "dataset", "device": "auto"}
    asked |= {"resume": True, "choose": "loss"}
    assert resumed(asked, {"resume", "name"}, SAVED) == {**SAVED, "resume": True}


def test_what_does_not_change_the_result_may_change():
    asked = {**SAVED, "dataset": "y", "device": "cuda"}
    assert resumed(asked, {"dataset", "device"}, SAVED) == asked


def test_test_time_augmentation_may_change_and_else_stays():
    asked = {**SAVED, "test_time_augmentation": False}
    saved = {**SAVED, "test_time_augmentation": True}
    assert resumed(asked, {"test_time_augmentation"}, saved) == asked
    assert resumed(asked, set(), saved) == saved


def test_another_device_is_a_difference_and_another_name_is_not():
    assert not settings_differ({**SAVED, "name": "b", "ckpts_dir": "c", "resume": True}, SAVED)
    assert settings_differ({**SAVED, "device": "cuda"}, SAVED)
    assert settings_differ({**SAVED, "test_time_augmentation": True}, SAVED)  # of an older run


def test_another_value_for_what_changes_the_result_is_refused():
    with pytest.raises(ValueError, match=r"--epochs: found 9, but the run has 5"):
        resumed({**SAVED, "epochs": 9}, {"epochs"}, SAVED)


def test_a_run_from_before_a_setting_goes_on_as_it_was():
    """SAVED has what each setting was before it had a name."""
    older = {name: value for name, value in SAVED.items() if name not in BEFORE}
    assert resumed({**SAVED, "choose": "loss"}, set(), older) == SAVED
    assert not settings_differ(SAVED, older)
    with pytest.raises(ValueError, match="--choose: found loss, but the run has macro_f1"):
        resumed({**SAVED, "choose": "loss"}, {"choose"}, older)


def test_the_same_value_given_again_is_fine():
    assert resumed(SAVED, {"epochs", "lr"}, SAVED) == SAVED


def test_auto_asks_for_no_precision():
    asked, saved = {**SAVED, "precision": "auto"}, {**SAVED, "precision": "bfloat16"}
    assert resumed(asked, {"precision"}, saved) == saved
    with pytest.raises(ValueError, match="--precision: found float32, but the run has bfloat16"):
        resumed({**asked, "precision": "float32"}, {"precision"}, saved)


def test_many_ranks_go_on_only_on_the_device_that_they_have_joined_with():
    asked = {**SAVED, "device": "auto"}
    assert resumed(asked, set(), SAVED)["device"] == "cpu"
    with pytest.raises(ValueError, match="--device: found auto, but the run has cpu; give that"):
        resumed(asked, set(), SAVED, 2)
    assert resumed(asked, {"device"}, SAVED, 2)["device"] == "auto"
    assert resumed(asked, set(), None, 2)["device"] == "auto"


def test_a_run_that_its_machines_do_not_share_is_refused_before_they_wait_for_each_other(tmp_path):
    check_shared(tmp_path, [4, 4, 4])
    check_shared(tmp_path, [-1, -1])
    message = r"found the run at step 4 on rank 0 and {} on rank 2; expected a folder that all"
    with pytest.raises(ValueError, match=message.format("not there")):
        check_shared(tmp_path, [4, 4, -1])
    with pytest.raises(ValueError, match=message.format("at step 7")):
        check_shared(tmp_path, [4, 4, 7])

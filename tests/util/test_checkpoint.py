"""Checkpoints: whole, safe to load, and the one released in 2020."""

import re

import numpy as np
import pytest
import torch

from util.checkpoint import (
    ORIGINAL,
    RESUMABLE,
    load_checkpoint,
    rng_state,
    save_checkpoint,
    set_rng_state,
)

REPORT = {"macro avg": {"f1-score": np.float64(0.9298), "support": np.int64(210)}, "accuracy": 0.9}


def write_original(path, old_numpy):
    """As COVID-Next saved it in 2020: torch's legacy format, numpy scalars in clf_report."""
    content = {"state_dict": {"a": torch.arange(3.0)}, "global_step": 10800, "clf_report": REPORT}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    raw = path.read_bytes()
    assert b"numpy._core.multiarray" in raw
    if old_numpy:  # numpy 1 called the module numpy.core
        path.write_bytes(raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


@pytest.mark.parametrize("old_numpy", [True, False])
def test_the_originals_checkpoint_loads_with_the_originals_preprocessing(tmp_path, old_numpy):
    path = tmp_path / "COVIDNext50_NewData_F1_92.98_step_10800.pth"
    write_original(path, old_numpy)
    content = load_checkpoint(path)
    assert torch.equal(content["state_dict"]["a"], torch.arange(3.0))
    assert content["mapping"] == {"normal": 0, "pneumonia": 1, "COVID-19": 2}
    form = {"size": (256, 256), "mean": (0,) * 3, "std": (1,) * 3, "prepared": None, "mode": "RGB"}
    assert content["input"] == form
    assert content["step"] == 10800
    assert content["clf_report"]["macro avg"]["f1-score"] == 0.9298


def test_what_is_saved_is_what_is_loaded(tmp_path):
    path = tmp_path / "last.pth"
    saved = {
        "state_dict": {"w": torch.randn(2)},
        "mapping": {"A": 0, "B": 1},
        "input": {"size": (96, 64), "mean": (0.5,) * 3, "std": (0.25,) * 3},
        "config": {"lr": 1e-3, "freeze": None},
        "epoch": 3,
        "step": 12,
        "temperature": 1.3,
    }
    save_checkpoint(path, saved)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded.pop("state_dict")["w"], saved.pop("state_dict")["w"])
    assert {name: loaded[name] for name in saved} == saved


def test_a_key_that_no_checkpoint_has_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"last.pth: found temprature; expected .*temperature"):
        save_checkpoint(tmp_path / "last.pth", {"state_dict": {}, "temprature": 2.0})
    assert not list(tmp_path.iterdir())


def test_every_key_of_a_checkpoint_is_explained():
    words = set(re.findall(r"\w+", save_checkpoint.__doc__))
    assert {"state_dict", *ORIGINAL, *RESUMABLE} <= words


def test_random_numbers_go_on_from_a_state():
    state = rng_state()
    first = torch.rand(3)
    set_rng_state(state)
    assert torch.equal(torch.rand(3), first)


def test_a_full_disk_is_said_and_leaves_the_checkpoint_that_was_there(tmp_path, small_files):
    save_checkpoint(tmp_path / "last.pth", {"state_dict": {}, "epoch": 1})
    large = {"w": torch.zeros(small_files)}
    with pytest.raises(OSError, match=r"last.pth.* could not be written; is the disk full"):
        save_checkpoint(tmp_path / "last.pth", {"state_dict": large, "epoch": 2})
    assert load_checkpoint(tmp_path / "last.pth")["epoch"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.pth"]


class Evil:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("legacy", [True, False])
def test_loading_runs_no_code(tmp_path, capsys, legacy):
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "x": Evil()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="not a checkpoint") as error:
        load_checkpoint(path)
    assert "code ran" not in capsys.readouterr().out
    assert "weights_only" not in str(error.value)  # torch's advice would run it


def test_a_missing_file_says_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file; expected best.pth of a run"):
        load_checkpoint(tmp_path / "best.pth")


def test_a_file_cut_short_or_of_something_else_is_one_line(tmp_path):
    path = tmp_path / "best.pth"
    save_checkpoint(path, {"state_dict": {"w": torch.randn(1000)}})
    whole = path.read_bytes()
    for raw in (b"", b"hello", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"best.pth: not a checkpoint") as error:
            load_checkpoint(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mapping", ["A"], r"mapping is \['A'\]; expected a dict"),
        ("mapping", {"A": "0"}, r"mapping is {'A': '0'}; expected an index for each label"),
        ("input", {"height": 1}, "input has height; expected size, mean, std, prepared, mode"),
    ],
)
def test_a_field_of_another_kind_is_named(tmp_path, field, value, message):
    form = {"size": (96, 64), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    content = {"state_dict": {}, "mapping": {"A": 0}, "input": form}
    save_checkpoint(tmp_path / "x.pth", content | {field: value})
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("content", [[1, 2], {"weights": {}}, {"state_dict": 3}])
def test_a_file_without_a_state_dict_is_no_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"no state_dict in it; expected a checkpoint"):
        load_checkpoint(tmp_path / "x.pth")


TENSORS = {"block0.module.0.weight": torch.ones(2), "logits.module.bias": torch.zeros(3)}


def prefixed(*prefixes):
    return {"".join(prefixes) + name: tensor for name, tensor in TENSORS.items()}


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        prefixed("module."),
        {"state_dict": prefixed("module.")},
        {"state_dict": prefixed("_orig_mod.")},
        {"state_dict": prefixed("module.", "_orig_mod.")},
        {"state_dict": prefixed("_orig_mod.", "module.")},
        {"model": TENSORS, "epoch": 3},
        {"model_state_dict": TENSORS, "optimizer_state_dict": {"state": {}}, "loss": 0.1},
        {"state_dict": prefixed("model."), "pytorch-lightning_version": "2"},
    ],
)
def test_tensors_are_found_as_other_programs_save_them_and_the_log_says_what_is_assumed(
    tmp_path, caplog, content
):
    torch.save(content, tmp_path / "x.pth")
    loaded = load_checkpoint(tmp_path / "x.pth")
    assert list(loaded["state_dict"]) == list(TENSORS)
    assert loaded["mapping"] == ORIGINAL["mapping"]
    assert "x.pth: says nothing of classes and input; taken for the original's" in caplog.text


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"mapping": {"A": 0, "B": 1}}, "found mapping but no input;"),
        ({"input": {}, "temperature": 1.2, "epoch": 3}, "found input, temperature but no mapping;"),
        ({"config": {"lr": 1.0}, "step": 5}, "found config but no input, mapping;"),
    ],
)
def test_a_part_of_our_checkpoint_is_not_taken_for_the_originals(tmp_path, kept, message):
    torch.save({"state_dict": TENSORS, **kept}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=rf"x.pth: {message} expected a whole checkpoint"):
        load_checkpoint(tmp_path / "x.pth")


def test_a_folder_of_a_run_stands_for_its_best(tmp_path):
    save_checkpoint(tmp_path / "best.pth", {"state_dict": TENSORS, "step": 7})
    assert load_checkpoint(tmp_path)["step"] == 7
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty/best.pth: no such file; expected best.pth"):
        load_checkpoint(tmp_path / "empty")

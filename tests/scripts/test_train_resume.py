"""train.py: a run that was stopped or killed goes on as if it had not been."""

import json
import shutil
import weakref

import pandas as pd
import pytest
import torch

import train
from tests.helpers.training import (
    FLAGS,
    ask_to_stop,
    assert_same_weights,
    events_of,
    history_of,
    moments_of,
    power_cut,
    saves_of,
)
from util import device
from util.checkpoint import load_checkpoint
from util.training import run_folder
from util.training.run_folder import RunFolder
from util.training.state import Training


@pytest.mark.parametrize(
    "flags",
    [
        ("--schedule", "plateau", "--lr-reduce-patience", 0, "--average-decay", 0.4),
        ("--sampling", "balanced_source", "--augmentation-warmup-epochs", 2.5),
        ("--optimizer", "muon", "--lr", 1e-2, "--average-decay", "none"),
        ("--freeze", "block0", "--thaw-epoch", 1),
        ("--weights", "ANOTHER RUN", "--keep-weights", 0.5),
    ],
)
def test_a_run_stopped_at_any_moment_and_resumed_ends_with_the_same_weights(
    fit, monkeypatch, flags
):
    """The moments: before the first save of all, and spread over the steps and the saves."""
    flags = [fit("other", "--epochs", 1) if f == "ANOTHER RUN" else f for f in flags]
    flags = ("--epochs", 3, *flags, "--save-minutes", 0)
    with monkeypatch.context() as patch:
        moments = moments_of(patch)
        whole = fit("whole", *flags)
    for stop_at in {1 + (len(moments) - 1) * k // 4 for k in range(5)}:
        with monkeypatch.context() as patch:
            moments_of(patch, stop_at)
            with pytest.raises(KeyboardInterrupt):
                fit(f"broken{stop_at}", *flags)
        lost = (1, 2)  # before anything is saved, settings included
        again = ("--resume", *(flags if stop_at in lost else ()))
        broken = fit(f"broken{stop_at}", *again)
        assert_same_weights(whole, broken)
        pd.testing.assert_frame_equal(history_of(whole), history_of(broken))


def test_a_run_that_saves_seldom_does_again_what_was_not_saved(fit, monkeypatch):
    flags = ("--epochs", 4, "--save-minutes", 60)
    whole = fit("whole", *flags)
    with monkeypatch.context() as patch:
        moments_of(patch, 30)  # in the third epoch or so
        with pytest.raises(KeyboardInterrupt):
            fit("broken", *flags)
    assert load_checkpoint(whole.parent / "broken" / "last.pth")["step"] == 0
    assert_same_weights(whole, fit("broken", "--resume"))


def test_a_run_that_goes_on_lets_go_of_the_checkpoint_before_it_trains(fit, monkeypatch):
    with monkeypatch.context() as patch:
        moments_of(patch, 30)
        with pytest.raises(KeyboardInterrupt):
            fit("a", "--epochs", 4, "--save-minutes", 0)
    read, alive = [], []
    load, step = RunFolder.open, Training.step

    def opened(*words):
        state = load(*words)
        read.extend(weakref.ref(tensor) for tensor in state["weights"].values())
        return state

    def stepping(*words):
        alive.extend(tensor for tensor in read if tensor())
        step(*words)

    monkeypatch.setattr(RunFolder, "open", opened)
    monkeypatch.setattr(Training, "step", stepping)
    fit("a", "--resume")
    assert read
    assert not alive


def test_a_finished_run_is_refused_without_resume_and_stays_as_it_is_with_it(
    fit, caplog, monkeypatch
):
    caplog.set_level("INFO")
    folder = fit("a", "--epochs", 2)
    before = (folder / "last.pth").read_bytes()
    half = [folder / ".last.0123abcd.pth", folder / ".best.89abcdef.pth"]
    for file in half:
        file.write_bytes(b"half")
    with pytest.raises(FileExistsError, match=r"holds a run already; --resume goes on with it"):
        fit("a", "--epochs", 2)
    assert all(file.exists() for file in half)  # another process may be writing
    fit("a", "--epochs", 2, "--resume")
    assert not any(file.exists() for file in half)
    assert (folder / "last.pth").read_bytes() == before
    assert caplog.messages[-1] == (
        f"{folder}: the run has ended. To train on, begin another: --name OTHER --weights"
        f" {folder / 'best.pth'}"
    )
    monkeypatch.setattr(train, "open_splits", power_cut)  # so that not even images are read
    fit("a", "--resume")
    assert len(events_of(folder).Scalars("epoch/val_macro_f1")) == 2


def seen(folder):
    """What people see of the epochs of a run, but for its speed: history.csv and TensorBoard."""
    events = events_of(folder)
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag not in {"train/step_loss", "epoch/images_per_second"}
    }
    figures = [event.step for event in events.Images("epoch/confusion_matrix")]
    return history_of(folder).to_dict("list"), scalars, figures


def test_a_run_stopped_after_any_save_at_the_end_of_an_epoch_lacks_nothing_when_it_is_over(
    fit, monkeypatch
):
    """best.pth, last.pth, and what is shown only after both."""
    flags = ("--epochs", 2, "--save-minutes", 0)
    validate = train.validate

    def finer(*words):
        """Few images give few scores; this one rises wherever the loss falls."""
        matrix, metrics = validate(*words)
        return matrix, metrics | {"macro_f1": 1 / (1 + metrics["loss"])}

    monkeypatch.setattr(train, "validate", finer)
    with monkeypatch.context() as patch:
        saves, _ = saves_of(patch)
        whole = fit("whole", *flags)
    assert saves.count("last.pth") == 1 + 2  # as it begins, and at the end of each epoch
    assert saves.count("best.pth") == 2 + 1  # of both epochs, and with the temperature
    assert list(filter(None, saves))[1:3] == ["best.pth", "last.pth"]
    drawn = []
    write = run_folder.write_history
    monkeypatch.setattr(run_folder, "write_history", lambda *words: drawn.append(write(*words)))
    for number, file in enumerate(saves, start=1):
        if not file:
            continue
        with monkeypatch.context() as patch:
            saves_of(patch, number)
            with pytest.raises(KeyboardInterrupt):
                fit(f"broken{number}", *flags)
        drawn.clear()
        broken = fit(f"broken{number}", "--resume")
        assert_same_weights(whole, broken)
        assert seen(whole) == seen(broken), (number, saves)
        assert drawn or number == len(saves), (number, saves)  # curves.png once more


def test_a_run_from_before_the_within_source_auroc_goes_on(fit, monkeypatch):
    flags = ("--epochs", 2, "--save-minutes", 0)
    with monkeypatch.context() as patch:
        saves, _ = saves_of(patch)
        whole = fit("whole", *flags)
    with monkeypatch.context() as patch:
        saves_of(patch, saves.index("last.pth", 1) + 1)
        with pytest.raises(KeyboardInterrupt):
            fit("older", *flags)
    older = whole.with_name("older")
    for file in ("best.pth", "last.pth"):
        content = torch.load(older / file, weights_only=True)
        del content["chosen_by"], content["config"]["choose"]
        for row in [content["metrics"], *content.get("history", [])]:
            row.pop("within_source_auroc", row.pop("val_within_source_auroc", None))
        torch.save(content, older / file)
    fit("older", "--resume")
    assert_same_weights(whole, older)
    assert list(history_of(older)["val_within_source_auroc"].isna()) == [True, False]


def test_a_run_goes_on_without_the_file_that_it_started_from(fit):
    start = fit("start", "--epochs", 1)
    folder = fit("next", "--epochs", 1, "--weights", start / "best.pth")
    shutil.rmtree(start)
    fit("next", "--resume")
    assert load_checkpoint(folder / "last.pth")["epoch"] == 1


def test_a_run_does_not_go_on_with_other_settings_or_another_dataset(
    fit, script, dataset, tmp_path
):
    fit("a", "--epochs", 2)
    for flags, message in {
        ("--batch-size", 3): "--batch-size: found 3, but the run has 16",
        ("--epochs", 3): "another run.*: --name OTHER --weights .*best.pth",
        ("--sync-batchnorm",): "--sync-batchnorm: found True, but the run has False",
    }.items():
        with pytest.raises(ValueError, match=message):
            fit("a", "--resume", *flags)
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    about = json.loads((other / "dataset.json").read_text()) | {"fingerprint": "another"}
    (other / "dataset.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="not the dataset that"):
        script(train, "--dataset", other, "--ckpts-dir", tmp_path, "--name", "a", "--resume")


def test_a_run_that_never_took_a_step_gives_way_to_another_of_its_name(fit, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Training, "step", power_cut)
        with pytest.raises(OSError, match="power"):
            fit("a", "--epochs", 2, "--lr", 0.5)
    folder = fit("a", "--epochs", 1)
    assert load_checkpoint(folder / "last.pth")["config"]["lr"] == 0.01
    assert len(list(folder.glob("events.out*"))) == 1


def test_a_run_whose_dataset_was_moved_asks_for_it_and_goes_on(fit, script, dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "old")
    with pytest.MonkeyPatch.context() as patch:
        moments_of(patch, 8)
        with pytest.raises(KeyboardInterrupt):
            fit("a", "--epochs", 2, "--dataset", tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    again = ("--ckpts-dir", tmp_path, "--name", "a", "--resume")
    with pytest.raises(FileNotFoundError, match=r"old: no such folder; .* give --dataset"):
        script(train, *again)
    script(train, *again, "--dataset", tmp_path / "new")
    assert load_checkpoint(tmp_path / "a" / "last.pth")["epoch"] == 2


def test_tensorboard_compares_a_run_that_has_not_ended(fit, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        moments_of(patch, 8)
        with pytest.raises(KeyboardInterrupt):
            fit("a", "--epochs", 2)
    events = events_of(tmp_path / "a")
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "_hparams_/session_end_info" not in events.summary_metadata


def test_flags_of_a_run_that_goes_on_are_judged_by_its_own_settings(fit):
    flags = ("--freeze", "block0", "--thaw-epoch", 1, "--epochs", 2)
    folder = fit("a", *flags, "--sampling", "balanced", "--patient-cap", 2)
    fit("a", "--resume", "--thaw-epoch", 1, "--patient-cap", 2)
    with pytest.raises(ValueError, match="--patient-cap: found 3, but the run has 2"):
        fit("a", "--resume", "--patient-cap", 3)
    with pytest.raises(SystemExit):  # nothing goes on there
        fit("b", "--resume", "--patient-cap", 2)
    assert load_checkpoint(folder / "last.pth")["epoch"] == 2


def test_a_run_stopped_at_its_last_look_says_what_best_lacks_and_takes_it_when_resumed(
    fit, monkeypatch, caplog
):
    caplog.set_level("INFO")
    whole = load_checkpoint(fit("whole", "--epochs", 1) / "best.pth")
    with monkeypatch.context() as patch:
        patch.setattr(train, "last_look", power_cut)
        with pytest.raises(OSError, match="power"):
            fit("a", "--epochs", 1)
    with monkeypatch.context() as patch:
        ask_to_stop(patch, 0)
        with pytest.raises(KeyboardInterrupt):
            fit("a", "--resume")
    assert caplog.messages[-1].endswith("its temperature and gate; --resume takes it")
    best = load_checkpoint(fit("a", "--resume") / "best.pth")
    assert best["temperature"] == whole["temperature"]
    assert best["gate"]


def test_a_run_asked_to_stop_in_its_first_epoch_says_that_there_is_no_best_yet(
    fit, monkeypatch, caplog, tmp_path
):
    caplog.set_level("INFO")
    fit("decoded", "--epochs", 1)  # so that decoding is not asked
    ask_to_stop(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        fit("a", "--epochs", 3)
    assert caplog.messages[-1] == (
        "Stopped at step 2; best validation macro F1 so far: none yet, and no best.pth."
        " --resume goes on"
    )
    assert load_checkpoint(tmp_path / "a" / "last.pth")["step"] == 2


def test_a_run_asked_to_stop_while_it_decodes_stops_there_and_leaves_nothing(
    fit, script, dataset, monkeypatch, tmp_path
):
    fresh = tmp_path / "fresh"
    shutil.copytree(dataset, fresh, ignore=shutil.ignore_patterns("decoded"))
    ask_to_stop(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        script(train, "--dataset", fresh, "--ckpts-dir", tmp_path, "--name", "a", *FLAGS)
    assert not (tmp_path / "a").exists()
    assert list((fresh / "decoded").iterdir()) == []


def test_a_run_asked_to_stop_while_it_validates_saves_the_epochs_steps_and_goes_on_alike(
    fit, monkeypatch, caplog
):
    caplog.set_level("INFO")
    whole = fit("whole", "--epochs", 2)
    steps = load_checkpoint(whole / "last.pth")["step"] // 2
    with monkeypatch.context() as patch:
        ask_to_stop(patch, 2 * steps)
        with pytest.raises(KeyboardInterrupt):
            fit("a", "--epochs", 2)
    assert "best validation macro F1 so far: none yet" in caplog.messages[-1]
    last = load_checkpoint(whole.parent / "a" / "last.pth")
    assert (last["step"], last["running"][0], last["epoch"]) == (steps, steps, 0)
    resumed = fit("a", "--resume")
    assert_same_weights(whole, resumed)
    history = pd.read_csv(resumed / "history.csv")
    # No step of the first epoch was taken by the process that ended it, so it has no rate to tell.
    assert history.isna().sum().to_dict() == {
        name: int(name == "images_per_second") for name in history
    }
    told = [text for text in caplog.messages if text.startswith("Epoch ")][-2:]
    assert ["images/s" in text for text in told] == [False, True]


def test_the_checkpoint_says_which_precision_auto_was(fit, script, monkeypatch, caplog):
    monkeypatch.setattr(device, "_native_bfloat16", lambda device: True)
    folder = fit("a", "--epochs", 1, "--precision", "auto")
    for file in ("best.pth", "last.pth"):
        assert load_checkpoint(folder / file)["config"]["precision"] == "bfloat16"
    assert json.loads((folder / "config.json").read_text())["precision"] == "bfloat16"
    caplog.clear()
    fit("a", "--resume", "--precision", "auto")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    monkeypatch.setattr(device, "_native_bfloat16", lambda device: False)
    for flags in ([], ["--precision", "auto"]):
        caplog.clear()
        script(train, "--ckpts-dir", folder.parent, "--name", "a", "--resume", *flags)
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert warning.getMessage() == (
            "precision: the run goes on in bfloat16, as it began; auto would be float32 on this"
            " device"
        )
    assert load_checkpoint(folder / "last.pth")["config"]["precision"] == "bfloat16"


def test_a_precision_that_was_asked_for_is_no_reason_for_a_warning(fit, monkeypatch, caplog):
    monkeypatch.setattr(device, "_native_bfloat16", lambda device: True)
    fit("a", "--epochs", 1, "--precision", "float32")
    fit("a", "--resume")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]

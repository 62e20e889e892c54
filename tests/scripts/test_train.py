"""train.py: what a run leaves, that it goes on exactly, that validation alone decides."""

import json
import os
import shutil
import signal
import weakref
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

import train
from data.augmentation import Augmentation
from data.dataset import RadiographDataset, load_splits
from data.sampling import EpochBatches
from data.transforms import InputFormat
from model.gate import Gate
from model.inference import examine
from model.weights import load_network
from tests.helpers.networks import TinyNext
from tests.helpers.training import (
    FLAGS,
    assert_same_weights,
    events_of,
    last_weights,
    weights,
)
from util import checkpoint, device
from util.checkpoint import load_checkpoint
from util.metrics.calibration import fit_temperature
from util.training import run_folder
from util.training.divergence import DivergenceWatch
from util.training.optimizer import Descent
from util.training.run_folder import RunFolder


def test_a_run_leaves_what_is_promised(fit, dataset):
    folder = fit("a", "--epochs", 2)
    names = {path.name.split(".0")[0].split(".1")[0] for path in folder.iterdir()}
    assert {"best.pth", "last.pth", "config.json", "history.csv", "curves.png"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    best = load_checkpoint(folder / "best.pth")
    about = json.loads((dataset / "dataset.json").read_text())
    assert best["fingerprint"] == about["fingerprint"]
    assert best["mapping"] == {"normal": 0, "pneumonia": 1, "COVID-19": 2}
    assert best["input"]["size"] == (32, 32)
    assert best["input"]["prepared"] == {"size": 64, "fit": "squash", "equalize": False}
    assert 0.05 < best["temperature"] < 20
    assert best["config"] == json.loads((folder / "config.json").read_text()) | {
        "scale": best["config"]["scale"]
    }
    assert "optimizer" not in best
    assert {"optimizer", "scheduler", "scaler", "rng"} <= load_checkpoint(
        folder / "last.pth"
    ).keys()


def test_best_is_the_epoch_of_the_highest_validation_macro_f1(fit):
    folder = fit("a", "--epochs", 4)
    history = pd.read_csv(folder / "history.csv")
    best = load_checkpoint(folder / "best.pth")
    row = history.loc[history["val_macro_f1"].idxmax()]
    assert list(history["epoch"]) == [1, 2, 3, 4]
    assert best["epoch"] == row["epoch"]
    assert best["metrics"]["macro_f1"] == pytest.approx(row["val_macro_f1"])


def test_the_history_has_scikit_learns_macro_auroc_of_the_validation(fit, dataset):
    folder = fit("a", "--epochs", 1)
    best = load_checkpoint(folder / "best.pth")
    logits, targets = best["validation"]["logits"], np.array(best["validation"]["targets"])
    said = logits.double().softmax(1).numpy()
    expected = np.mean([roc_auc_score(targets == k, said[:, k]) for k in range(3)])
    (found,) = pd.read_csv(folder / "history.csv")["val_macro_auroc"]
    assert found == best["metrics"]["macro_auroc"] == pytest.approx(expected, abs=1e-4)


def test_training_never_reads_the_test_split(fit, script, dataset, tmp_path):
    blind = tmp_path / "blind"
    shutil.copytree(dataset, blind)
    shutil.rmtree(blind / "test")
    (blind / "test_metadata.csv").unlink()
    flags = ("--dataset", blind, "--ckpts-dir", tmp_path, "--name", "b", *FLAGS, "--epochs", 1)
    script(train, *flags)
    assert_same_weights(tmp_path / "b", fit("a", "--epochs", 1))


def test_the_same_seed_gives_the_same_weights_with_any_number_of_workers(fit):
    one = fit("zero", "--epochs", 2)
    for workers in (1, 4):
        assert_same_weights(one, fit(f"by {workers}", "--epochs", 2, "--n-threads", workers))
    other = weights(fit("other", "--epochs", 2, "--random-seed", 1))
    assert not torch.equal(weights(one)["logits.module.weight"], other["logits.module.weight"])


def test_a_warm_up_of_the_augmentation_changes_what_its_epochs_teach(fit):
    flags = ("--epochs", 1, "--augmentation-warmup-epochs")
    whole, slow, slower = (weights(fit(f"warm-{k}", *flags, k)) for k in (0, 1, 5))
    assert not torch.equal(whole["logits.module.weight"], slow["logits.module.weight"])
    # Both show a fifth of it in their first epoch.
    assert torch.equal(slower["logits.module.weight"], slow["logits.module.weight"])


def moments_of(monkeypatch, stop_at=None):
    """A list that grows at each look at the loss and before each save; stops the run at one."""
    moments = []

    def stopping(function):
        def call(*words):
            moments.append(function)
            if len(moments) == stop_at:
                raise KeyboardInterrupt
            return function(*words)

        return call

    for module in (run_folder, checkpoint):
        monkeypatch.setattr(module, "save_checkpoint", stopping(module.save_checkpoint))
    monkeypatch.setattr(DivergenceWatch, "first_bad", stopping(DivergenceWatch.first_bad))
    return moments


@pytest.mark.parametrize(
    "flags",
    [
        ("--schedule", "plateau", "--lr-reduce-patience", 0),
        ("--sampling", "balanced_source"),
        ("--average-decay", 0.4),
        ("--average-decay", "none"),
        ("--augmentation-warmup-epochs", 2.5),
        ("--optimizer", "muon", "--lr", 1e-2),
    ],
)
def test_a_run_stopped_at_any_moment_and_resumed_ends_with_the_same_weights(
    fit, monkeypatch, flags
):
    """The moments: before the first save of all, and spread over the steps and the saves."""
    flags = ("--epochs", 3, *flags, "--save-minutes", 0)
    with monkeypatch.context() as patch:
        moments = moments_of(patch)
        whole = fit("whole", *flags)
    for stop_at in {1 + (len(moments) - 1) * k // 8 for k in range(9)}:
        with monkeypatch.context() as patch:
            moments_of(patch, stop_at)
            with pytest.raises(KeyboardInterrupt):
                fit(f"broken{stop_at}", *flags)
        lost = (1, 2)  # before anything is saved, settings included
        again = ("--resume", *(flags if stop_at in lost else ()))
        broken = fit(f"broken{stop_at}", *again)
        assert_same_weights(whole, broken)
        a, b = (
            pd.read_csv(run / "history.csv").drop(columns="images_per_second")
            for run in (whole, broken)
        )
        pd.testing.assert_frame_equal(a, b)


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

    def opened(*words):
        state = open_run(*words)
        read.extend(weakref.ref(tensor) for tensor in state["weights"].values())
        return state

    open_run, see = RunFolder.open, DivergenceWatch.see
    monkeypatch.setattr(RunFolder, "open", opened)
    monkeypatch.setattr(
        DivergenceWatch, "see", lambda *words: (alive.extend(r for r in read if r()), see(*words))
    )
    fit("a", "--resume")
    assert read
    assert not alive


def test_a_run_that_holds_something_is_not_touched_without_resume(fit):
    folder = fit("a", "--epochs", 1)
    before = (folder / "last.pth").read_bytes()
    with pytest.raises(FileExistsError, match=r"holds a run already; --resume goes on with it"):
        fit("a", "--epochs", 1)
    assert (folder / "last.pth").read_bytes() == before


def test_a_finished_run_resumed_stays_as_it_is(fit):
    folder = fit("a", "--epochs", 1)
    before = (folder / "last.pth").read_bytes()
    fit("a", "--epochs", 1, "--resume")
    assert (folder / "last.pth").read_bytes() == before


def saves_of(monkeypatch, stop_after=None):
    """A list of the files that were saved, "" within an epoch; stops the run when it is so long."""
    saves, steps, save = [], [], checkpoint.save_checkpoint

    def stopping(path, content):
        save(path, content)
        saves.append("" if content.get("running", (0,))[0] else path.name)
        steps.append(content["step"])
        if len(saves) == stop_after:
            raise KeyboardInterrupt

    for module in (run_folder, checkpoint):
        monkeypatch.setattr(module, "save_checkpoint", stopping)
    return saves, steps


def seen(folder):
    """What people see of the epochs of a run, but for its speed: history.csv and TensorBoard."""
    events = events_of(folder)
    scalars = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag not in {"train/step_loss", "epoch/images_per_second"}
    }
    figures = [event.step for event in events.Images("epoch/confusion_matrix")]
    table = pd.read_csv(folder / "history.csv").drop(columns="images_per_second")
    return table.to_dict("list"), scalars, figures


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
        assert drawn, (number, saves)  # curves.png anew


def test_what_a_killed_save_left_half_written_goes_when_the_run_goes_on(fit):
    folder = fit("a", "--epochs", 1)
    half = [folder / ".last.0123abcd.pth", folder / ".best.89abcdef.pth"]
    for file in half:
        file.write_bytes(b"half")
    with pytest.raises(FileExistsError):
        fit("a", "--epochs", 1)
    assert all(file.exists() for file in half)  # another process may be writing
    fit("a", "--resume")
    assert not any(file.exists() for file in half)


def test_tensorboard_keeps_every_epoch_of_a_run_that_went_on(fit):
    folder = fit("a", "--epochs", 2)
    fit("a", "--resume")
    events = events_of(folder)
    assert len(events.Scalars("epoch/val_macro_f1")) == 2


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


def test_early_stopping_ends_the_run_after_patience_epochs_without_a_better_one(fit):
    folder = fit("a", "--epochs", 9, "--early-stopping-patience", 2, "--lr", 1e-12)
    scores = pd.read_csv(folder / "history.csv")["val_macro_f1"]
    assert len(scores) < 9
    assert len(scores) - 1 - scores.idxmax() == 2


@pytest.mark.parametrize("minutes", [0, 60])
def test_a_loss_that_is_no_number_stops_the_run_says_where_and_keeps_what_was_saved(
    fit, tmp_path, minutes
):
    flags = ("--lr", 1e30, "--warmup-epochs", 0, "--optimizer", "adam", "--save-minutes", minutes)
    with pytest.raises(ValueError, match=r"step \d+: the loss is no number any more; lower --lr"):
        fit("a", "--epochs", 3, *flags)
    last = weights(tmp_path / "a")
    fresh = weights(fit("fresh", "--epochs", 1, "--lr", 1e-12, "--warmup-epochs", 0))
    for name, value in last.items():
        if not name.endswith(("num_batches_tracked", "running_mean", "running_var")):
            torch.testing.assert_close(value, fresh[name], msg=name)  # of the start
    assert not (tmp_path / "a" / "best.pth").exists()


@pytest.mark.parametrize("steps", [0, 1])
def test_weights_that_broke_in_the_last_step_of_an_epoch_are_in_no_checkpoint(
    fit, tmp_path, monkeypatch, steps
):
    """The loss of each step was a number. Broken in the epoch's last step, or in the one before;
    and, as luck would have it, with the best score."""
    with monkeypatch.context() as patch:
        _, ends = saves_of(patch)
        fit("whole", "--epochs", 2)
    end = max(ends)
    step, validate = Descent.step, train.validate
    taken = []

    def lucky(*words):
        matrix, metrics = validate(*words)
        return matrix, metrics | {"macro_f1": len(taken) / 100}

    monkeypatch.setattr(train, "validate", lucky)

    def breaking(descent, loss):
        step(descent, loss)
        taken.append(loss)
        if len(taken) == end - steps:
            with torch.no_grad():
                descent.parameters[0].fill_(1e30)

    monkeypatch.setattr(Descent, "step", breaking)
    with pytest.raises(ValueError, match=f"step {end}: the loss is no number") as error:
        fit("a", "--epochs", 2)
    assert "of epoch 1; its best.pth has no temperature and no gate" in str(error.value)
    assert "\n" not in str(error.value)
    best = load_checkpoint(tmp_path / "a" / "best.pth")
    assert best["epoch"] == 1
    assert np.isfinite(best["metrics"]["loss"])
    for file in ("best.pth", "last.pth"):
        for name, value in weights(tmp_path / "a", file).items():
            assert value.abs().max() < 1e3, (file, name)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_epoch_whose_validation_loss_is_no_number_is_never_the_best(
    fit, tmp_path, monkeypatch, bad
):
    good = {"accuracy": 0.9, "macro_f1": 0.9, "loss": bad, "classes_named": 3}
    monkeypatch.setattr(train, "validate", lambda *_: (np.eye(3, dtype=int), good))
    with pytest.raises(ValueError, match="the loss is no number any more"):
        fit("a", "--epochs", 2)
    assert not (tmp_path / "a" / "best.pth").exists()
    assert load_checkpoint(tmp_path / "a" / "last.pth")["step"] == 0


def test_weights_that_broke_are_not_saved_within_an_epoch(fit, tmp_path, monkeypatch):
    step = Descent.step

    def breaking(descent, loss):
        step(descent, loss)
        if descent.schedule.last_epoch == 3:
            with torch.no_grad():
                descent.parameters[0].fill_(1e30)

    monkeypatch.setattr(Descent, "step", breaking)
    with pytest.raises(ValueError, match=r"step 3: the loss is no number any more.* none yet, and"):
        fit("a", "--epochs", 2, "--save-minutes", 0)
    last = load_checkpoint(tmp_path / "a" / "last.pth")
    assert last["step"] == 2
    assert all(value.abs().max() < 1e3 for value in last["state_dict"].values())


def test_a_run_that_names_every_image_alike_stops_says_where_and_keeps_the_checkpoints(
    fit, tmp_path
):
    """With the weight of one class alone, there is nothing else to learn."""
    flags = ("--loss-weights", 0, 0, 1, "--label-smoothing", 0, "--lr", 0.1, "--epochs", 9)
    with pytest.raises(
        ValueError, match=r"step \d+: for 2 epochs every .* was named COVID-19"
    ) as e:
        fit("a", *flags, "--collapse-patience", 2)
    assert "its best.pth has no temperature and no gate before the run ends" in str(e.value)
    assert load_checkpoint(tmp_path / "a" / "best.pth")["epoch"] >= 1
    fit("b", *flags, "--epochs", 3, "--collapse-patience", "none")


def test_plateau_lowers_the_rate_after_patience_epochs_at_a_standstill(fit, monkeypatch):
    still = {"loss": 1.0, "accuracy": 0.5, "macro_f1": 0.5, "classes_named": 2}
    monkeypatch.setattr(train, "validate", lambda *_: (np.eye(3, dtype=int), still))
    flags = ("--schedule", "plateau", "--lr-reduce-patience", 1, "--lr-reduce-factor", 0.5)
    folder = fit("a", "--epochs", 6, "--lr", 0.01, *flags)
    rates = pd.read_csv(folder / "history.csv")["lr"]
    assert list(rates) == pytest.approx([0.01, 0.01, 0.01, 0.005, 0.005, 0.0025])


def test_frozen_blocks_stay_as_they_are_until_they_are_thawed(fit):
    start = weights(fit("start", "--epochs", 1))
    flags = ("--weights", fit("start2", "--epochs", 1) / "last.pth", "--freeze", "block0")
    frozen = weights(fit("frozen", "--epochs", 2, *flags))
    thawed = weights(fit("thawed", "--epochs", 2, *flags, "--thaw-epoch", 1))
    for name, value in start.items():
        if name.startswith("block0"):
            assert torch.equal(value, frozen[name]), name
    assert not torch.equal(frozen["block0.module.0.0.weight"], thawed["block0.module.0.0.weight"])


def test_a_run_goes_on_exactly_after_it_was_thawed(fit, monkeypatch):
    flags = ("--epochs", 3, "--freeze", "block0", "--thaw-epoch", 1, "--save-minutes", 0)
    with monkeypatch.context() as patch:
        moments = moments_of(patch)
        whole = fit("whole", *flags)
    for number, stop_at in enumerate((len(moments) // 5, len(moments) // 2, len(moments) - 4)):
        with monkeypatch.context() as patch:
            moments_of(patch, stop_at)
            with pytest.raises(KeyboardInterrupt):
                fit(f"broken{number}", *flags)
        assert_same_weights(whole, fit(f"broken{number}", "--resume"))


def test_a_gradient_clipped_to_nearly_nothing_teaches_nearly_nothing(fit):
    """Far below the epsilon that adam adds to its length."""
    flags = ("--epochs", 1, "--weight-decay", 0, "--average-decay", "none")
    still, free, clipped = (
        weights(fit(name, *flags, *more))["logits.module.weight"]
        for name, more in {
            "still": ("--lr", 1e-12),
            "free": (),
            "clipped": ("--clip-norm", 1e-12),
        }.items()
    )
    assert (clipped - still).norm() < 1e-3 * (free - still).norm()


def test_the_average_is_kept_and_the_weights_go_on_untouched_by_it(fit):
    plain = fit("plain", "--epochs", 2, "--average-decay", "none")
    averaged = fit("averaged", "--epochs", 2, "--average-decay", 0.6)
    for name, weight in weights(plain).items():
        assert torch.equal(last_weights(plain)[name], weight)
        assert torch.equal(last_weights(averaged)[name], weight)
    name = "logits.module.weight"
    assert not torch.equal(weights(averaged)[name], weights(plain)[name])


def test_averaged_weights_are_what_is_validated(fit, dataset):
    folder = fit("a", "--epochs", 2, "--loss-weights", "none", "--label-smoothing", 0)
    last = load_checkpoint(folder / "last.pth")
    form = InputFormat.of(last["input"])
    images = RadiographDataset(dataset, "val", last["mapping"], form)
    pixels, targets = images.__getitems__(range(len(images)))

    def loss(state):
        network = load_network(state, 3, "last.pth").eval()
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(network(form.normalise(pixels)), targets)

    assert loss(last["state_dict"]).item() == pytest.approx(last["metrics"]["loss"], rel=1e-5)
    assert loss(last["weights"]).item() != pytest.approx(last["metrics"]["loss"], rel=1e-5)


def test_the_batch_that_is_shown_has_the_whole_augmentation_of_the_last_epoch(
    fit, dataset, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        run_folder, "show_start", lambda writer, settings, pixels: seen.append(pixels)
    )
    flags = ("--flip", 0, "--rotation", 7, "--shift", 0.1, "--scale", 1, 1.2, "--jitter", 0.9)
    warm = ("--epochs", 3, "--augmentation-warmup-epochs", 2, "--random-seed", 7)
    best = load_checkpoint(fit("a", *warm, *flags, "--batch-size", 8) / "best.pth")
    whole = Augmentation(0, 7, 0.1, (1, 1.2), 0.9)
    form = InputFormat.of(best["input"])
    images, _ = load_splits(dataset, best["mapping"], form, whole, lambda items, title: items)
    batches = EpochBatches(len(images), 8, seed=7)
    batches.begin(2)
    assert torch.equal(seen[0], images.__getitems__(next(iter(batches)))[0])


def test_tensorboard_has_what_a_run_is_judged_by(fit):
    folder = fit("a", "--epochs", 1)
    events = events_of(folder)
    tags = events.Tags()
    wanted = {"train_loss", "val_loss", "val_macro_f1", "val_accuracy", "lr", "images_per_second"}
    assert {f"epoch/{name}" for name in wanted} | {"train/step_loss", "best/val_macro_f1"} <= set(
        tags["scalars"]
    )
    assert {"train/batch", "epoch/confusion_matrix"} <= set(tags["images"])
    assert "settings/text_summary" in tags["tensors"]
    parts = {f"_hparams_/{part}" for part in ("experiment", "session_start_info")}
    assert parts | {"_hparams_/session_end_info"} <= set(events.summary_metadata)


def test_tensorboard_compares_a_run_that_has_not_ended(fit, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        moments_of(patch, 8)
        with pytest.raises(KeyboardInterrupt):
            fit("a", "--epochs", 2)
    events = events_of(tmp_path / "a")
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "_hparams_/session_end_info" not in events.summary_metadata


def test_balanced_sampling_does_not_weigh_the_classes_again(fit):
    counts = weights(fit("counts", "--epochs", 1, "--sampling", "balanced"))
    none = weights(fit("even", "--epochs", 1, "--sampling", "balanced", "--loss-weights", "none"))
    assert torch.equal(counts["logits.module.bias"], none["logits.module.bias"])


def test_the_head_is_drawn_anew_where_the_order_of_the_classes_differs(fit, caplog):
    caplog.set_level("INFO")
    start = fit("start", "--epochs", 1, "--mapping", "COVID-19=0", "normal=1", "pneumonia=2")
    fit("next", "--epochs", 1, "--weights", start / "best.pth")
    assert "other classes, so the head starts from random weights" in caplog.text


def test_a_label_that_the_mapping_leaves_out_is_not_used_and_the_log_says_how_many(
    fit, caplog, dataset
):
    caplog.set_level("INFO")
    folder = fit("a", "--epochs", 1, "--mapping", "normal=0", "COVID-19=1")
    number = (pd.read_csv(dataset / "train_metadata.csv")["label"] == "pneumonia").sum()
    assert f"train: mapping leaves out pneumonia, {number} images" in caplog.text
    assert weights(folder)["logits.module.bias"].shape == (2,)


def test_labels_may_share_a_class(fit):
    folder = fit("a", "--epochs", 1, "--mapping", "normal=0", "COVID-19=1", "pneumonia=1")
    assert weights(folder)["logits.module.bias"].shape == (2,)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--mapping", "normal=0", "covid=1"), "found covid, no label of"),
        (("--mapping", "normal=0", "COVID-19=2"), r"found indices \[0, 2\]; expected 0, 1"),
        (("--loss-weights", 1, 2), "found 2 numbers; expected 3"),
        (("--freeze", "layer1"), "found layer1; expected some of"),
        (("--freeze", "block0", "backbone_end", "logits"), "found every block"),
        (("--sync-batchnorm",), "--sync-batchnorm: found cpu; expected CUDA"),
        (("--device", "cuda:99"), "found 'cuda:99', but this machine has"),
        (("--dataset", "nowhere"), "nowhere: no such folder"),
        (("--weights", "nothing.pth"), "nothing.pth: no such file"),
        (("--backbone-weights", "nothing.pth"), "found 'nothing.pth', no file"),
    ],
)
def test_bad_input_is_one_line_and_makes_no_folder(fit, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError), match=message) as error:
        fit("a", "--epochs", 1, *flags)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--lr", 0.0, "1e-12 or more"),
        ("--lr", "nan", "1e-12 or more"),
        ("--epochs", 0, "1 or more"),
        ("--batch-size", 0, "1 or more"),
        ("--width", 8, "32 or more"),
        ("--label-smoothing", 2.0, "0 to 1"),
        ("--early-stopping-patience", 0, "1 or more"),
        ("--rotation", -5.0, "0 or more"),
        ("--augmentation-warmup-epochs", -1.0, "0 or more"),
        ("--n-threads", -1, "0 or more"),
        ("--patient-cap", 0, "1 or more"),
        ("--clip-norm", 0.0, "1e-12 or more"),
        ("--random-seed", 2**63, "0 to 9223372036854775807"),
        ("--lr-reduce-factor", 1.0, "0 to below 1"),
        ("--lr-reduce-factor", "nan", "0 to below 1"),
        ("--average-decay", 0.0, "between 0 and 1, or none"),
        ("--average-decay", 1.0, "between 0 and 1, or none"),
        ("--average-decay", "nan", "between 0 and 1, or none"),
    ],
)
def test_a_number_out_of_range_is_status_2(fit, tmp_path, capsys, flag, value, expected):
    with pytest.raises(SystemExit) as stop:
        fit("a", flag, value)
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"{flag}: found {value}; expected {expected}\n")
    assert not list(tmp_path.iterdir())


ABOVE_0 = "expected 0 or more, and not all of them 0"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--loss-weights", 1, "nan", 1), f"--loss-weights: found 1.0 nan 1.0; {ABOVE_0}"),
        (("--loss-weights", 1, "inf", 1), f"--loss-weights: found 1.0 inf 1.0; {ABOVE_0}"),
        (("--loss-weights=-1",), f"--loss-weights: found -1.0; {ABOVE_0}"),
        (("--loss-weights", 0, 0, 0), f"--loss-weights: found 0.0 0.0 0.0; {ABOVE_0}"),
        (("--scale", 0, 1), "--scale: found 0.0 1.0; expected the smallest factor, then the"),
        (("--scale", 1.2, 0.8), "--scale: found 1.2 0.8; expected the smallest factor, then"),
        (("--scale", 1, "inf"), "--scale: found 1.0 inf; expected the smallest factor, then"),
        (("--scale", "nan", 1), "--scale: found nan 1.0; expected the smallest factor, then"),
        (("--name", "../a"), "--name: found '../a'; expected a folder's name. See --ckpts-dir"),
        (("--name", "/a"), "--name: found '/a'; expected a folder's name"),
        (("--name", "a/b"), "--name: found 'a/b'; expected a folder's name"),
        (("--name", ".."), "--name: found '..'; expected a folder's name"),
        (("--name", ""), "--name: found ''; expected a folder's name"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_line_and_status_2(
    fit, capsys, tmp_path, flags, message
):
    with pytest.raises(SystemExit) as stop:
        fit("a", *flags)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"train.py: {message}")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--patient-cap", 2), "--patient-cap: shuffle shows every image; give --sampling"),
        (("--thaw-epoch", 2), "--thaw-epoch: found no block that is frozen; give --freeze"),
        (
            ("--freeze", "block0", "--epochs", 2, "--thaw-epoch", 2),
            "--thaw-epoch: found 2; expected less than --epochs",
        ),
        (("--lr-reduce-factor", 0.5), "--lr-reduce-factor: cosine waits for no standstill; give"),
        (
            ("--schedule", "plateau", "--warmup-epochs", 2),
            "--warmup-epochs: plateau has no warm-up; leave it out",
        ),
        (
            ("--weights", "a.pth", "--backbone-weights", "IMAGENET1K_V1"),
            "--backbone-weights: the trunk is in --weights; leave one of them out",
        ),
    ],
)
def test_a_flag_that_would_do_nothing_is_status_2(fit, capsys, flags, message):
    with pytest.raises(SystemExit) as stop:
        fit("a", *flags)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_flags_of_a_run_that_goes_on_are_judged_by_its_own_settings(fit):
    flags = ("--freeze", "block0", "--thaw-epoch", 1, "--epochs", 2)
    folder = fit("a", *flags, "--sampling", "balanced", "--patient-cap", 2)
    fit("a", "--resume", "--thaw-epoch", 1, "--patient-cap", 2)
    with pytest.raises(ValueError, match="--patient-cap: found 3, but the run has 2"):
        fit("a", "--resume", "--patient-cap", 3)
    with pytest.raises(SystemExit):  # nothing goes on there
        fit("b", "--resume", "--patient-cap", 2)
    assert load_checkpoint(folder / "last.pth")["epoch"] == 2


def test_a_killed_process_that_reads_images_is_one_line(fit, monkeypatch):
    main = os.getpid()

    def killed(images, items):
        if os.getpid() != main:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(images, items)

    read = RadiographDataset.__getitems__
    monkeypatch.setattr(RadiographDataset, "__getitems__", killed)
    with pytest.raises(ValueError, match="n_threads: a process that reads images was killed"):
        fit("a", "--epochs", 1, "--n-threads", 1)


@pytest.mark.parametrize(("precision", "plain"), [("float16", True), ("bfloat16", False)])
def test_validation_has_no_loss_to_scale_and_leaves_float16_alone(
    fit, monkeypatch, precision, plain
):
    seen, look = [], train.predict_logits

    def looking(*words, autocast, **more):
        seen.append(isinstance(autocast, nullcontext))
        return look(*words, autocast=autocast, **more)

    monkeypatch.setattr(train, "predict_logits", looking)
    fit("a", "--epochs", 1, "--precision", precision)
    assert seen == [plain]


def test_the_checkpoint_has_the_prior_that_its_classes_were_learned_with(fit, dataset):
    targets = pd.read_csv(dataset / "train_metadata.csv")["label"]
    part = targets.value_counts(normalize=True)[["normal", "pneumonia", "COVID-19"]]
    found = {
        name: load_checkpoint(fit(name, "--epochs", 1, *flags) / "best.pth")["prior"]
        for name, flags in {
            "plain": ("--loss-weights", "none"),
            "weighted": ("--loss-weights", "counts"),
            "sampled": ("--sampling", "balanced", "--loss-weights", "none"),
        }.items()
    }
    plain, *even = found.values()
    assert plain == pytest.approx(list(part))
    assert even == [pytest.approx([1 / 3] * 3)] * 2


def test_training_can_start_from_a_checkpoint_with_other_classes(fit):
    start = fit("start", "--epochs", 1)
    folder = fit(
        "next", "--epochs", 1, "--weights", start / "best.pth",
        "--mapping", "normal=0", "COVID-19=1", "--freeze", "block0", "backbone_end",
    )  # fmt: skip
    before, after = weights(start, "best.pth"), weights(folder)
    assert after["logits.module.bias"].shape == (2,)
    for name in after:
        if not name.startswith("logits"):
            assert torch.equal(after[name], before[name]), name


def test_loss_weights_change_what_is_learned(fit):
    plain = weights(fit("plain", "--epochs", 1, "--loss-weights", "none"))
    heavy = weights(fit("heavy", "--epochs", 1, "--loss-weights", 0.05, 0.05, 1))
    assert not torch.equal(plain["logits.module.bias"], heavy["logits.module.bias"])


def test_separable_classes_are_learned_in_float32_and_in_bfloat16_alike(fit, easy):
    flags = ("--dataset", easy, "--epochs", 12, "--jitter", 0, "--lr", 0.05)
    fine, rough = (
        pd.read_csv(fit(name, *flags, "--precision", name) / "history.csv")
        for name in ("float32", "bfloat16")
    )
    assert list(fine["train_loss"]) != list(rough["train_loss"])
    assert fine["val_macro_f1"].iloc[-1] > 0.9
    assert rough["val_macro_f1"].iloc[-1] == pytest.approx(fine["val_macro_f1"].iloc[-1], abs=0.05)
    for loss in ("train_loss", "val_loss"):
        assert list(rough[loss]) == pytest.approx(list(fine[loss]), rel=0.05), loss


def test_the_best_checkpoint_knows_its_temperature_and_its_training_images(fit, dataset):
    folder = fit("a", "--epochs", 3)
    best = load_checkpoint(folder / "best.pth")
    mapping, form = best["mapping"], InputFormat.of(best["input"])
    network = TinyNext(3)
    network.load_state_dict(best["state_dict"])
    seen, sets = {}, {}
    for split in ("train", "val"):
        sets[split] = images = RadiographDataset(dataset, split, mapping, form)
        pixels = torch.stack([images[k][0] for k in range(len(images))])
        seen[split] = examine(network, [pixels], torch.device("cpu"), form.normalise)
    shares = np.bincount(sets["val"].targets) / len(sets["val"])
    logits, targets = seen["val"].logits.numpy(), sets["val"].targets
    wanted = fit_temperature(logits, targets, np.array(best["prior"]) / shares)
    assert wanted != 1
    assert best["temperature"] == pytest.approx(wanted, rel=1e-3)
    pixels = torch.stack([sets["train"][k][0] for k in range(len(sets["train"]))])
    gate = Gate.fit(pixels, seen["train"].features)
    assert gate.edges is not None
    assert_equal_gates(Gate.of(best["gate"]), gate)


def test_test_time_augmentation_changes_the_last_look_alone_and_may_be_asked_for_later(
    fit, dataset
):
    plain = fit("plain", "--epochs", 2)
    folder = fit("a", "--epochs", 2, "--test-time-augmentation")
    assert_same_weights(plain, folder)
    best, once = load_checkpoint(folder / "best.pth"), load_checkpoint(plain / "best.pth")
    assert (best["test_time_augmentation"], once["test_time_augmentation"]) == (True, False)
    assert load_checkpoint(folder / "last.pth")["test_time_augmentation"]
    network, form = TinyNext(3), InputFormat.of(best["input"])
    network.load_state_dict(best["state_dict"])
    images = RadiographDataset(dataset, "val", best["mapping"], form)
    pixels = torch.stack([images[k][0] for k in range(len(images))])
    seen = examine(network, [pixels], torch.device("cpu"), form.normalise, augmented=True)
    torch.testing.assert_close(best["validation"]["logits"], seen.logits, rtol=1e-3, atol=1e-4)
    assert best["temperature"] != once["temperature"]

    fit("plain", "--resume", "--test-time-augmentation")
    for _ in range(2):
        later = load_checkpoint(plain / "best.pth")
        assert later["test_time_augmentation"]
        assert later["config"]["test_time_augmentation"]
        assert later["temperature"] == best["temperature"]
        assert torch.equal(later["validation"]["logits"], best["validation"]["logits"])
        assert_equal_gates(Gate.of(later["gate"]), Gate.of(best["gate"]))
        fit("plain", "--resume")  # and it stays
    fit("plain", "--resume", "--no-test-time-augmentation")
    assert load_checkpoint(plain / "best.pth")["temperature"] == once["temperature"]


def assert_equal_gates(one, other):
    for a, b in zip(torch_leaves(one.state()), torch_leaves(other.state()), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def torch_leaves(value):
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in torch_leaves(part)]
    return [torch.as_tensor(value, dtype=torch.float64)] if value is not None else []


def test_a_run_stopped_at_its_last_look_takes_it_when_resumed(fit, monkeypatch):
    whole = load_checkpoint(fit("whole", "--epochs", 2) / "best.pth")
    with monkeypatch.context() as patch:
        patch.setattr(train, "last_look", power_cut)
        with pytest.raises(OSError, match="power"):
            fit("a", "--epochs", 2)
    folder = fit("a", "--resume")
    assert load_checkpoint(folder / "best.pth")["temperature"] == whole["temperature"]
    assert load_checkpoint(folder / "best.pth")["gate"]


def power_cut(*_):
    raise OSError("power cut")


class Stop:
    """In place of a signal: asks to stop from the n-th time on that it is asked after."""

    def __init__(self, at):
        self.left = at

    def __call__(self):
        self.left -= 1
        return self.left < 0


def ask_to_stop(monkeypatch, at):
    monkeypatch.setattr(train, "stop_asked", lambda: nullcontext(Stop(at)))


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


def test_a_run_asked_to_stop_at_its_last_look_says_what_best_lacks(fit, monkeypatch, caplog):
    caplog.set_level("INFO")
    fit("whole", "--epochs", 1)
    with monkeypatch.context() as patch:
        patch.setattr(train, "last_look", power_cut)
        with pytest.raises(OSError, match="power"):
            fit("a", "--epochs", 1)
    ask_to_stop(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        fit("a", "--resume")
    assert caplog.messages[-1].endswith("its temperature and gate; --resume takes it")


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


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++, with which torch compiles")
def test_a_compiled_network_learns_what_it_learns_without(fit, monkeypatch):
    compile_, asked = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda net: asked.append(net) or compile_(net))
    eager = fit("eager", "--epochs", 1)
    assert not asked
    compiled = fit("compiled", "--epochs", 1, "--compile")
    assert len(asked) == 1
    for name, value in weights(eager).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-2, atol=1e-3, msg=name)

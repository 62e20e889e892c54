"""train.py: what a run leaves, that it goes on exactly, that validation alone decides."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import model.weights
import train
from data.dataset import RadiographDataset
from data.gate import Gate
from data.transforms import InputFormat
from model.inference import examine
from tests.networks import TinyNext
from util.calibration import fit_temperature
from util.checkpoint import load_checkpoint

FLAGS = (
    "--backbone-weights", "none", "--width", 32, "--height", 32, "--lr", 0.01, "--device", "cpu",
    "--precision", "float32", "--n-threads", 0, "--log-steps", 1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    for module in (train, model.weights):
        monkeypatch.setattr(module, "COVIDNext50", TinyNext)


@pytest.fixture
def fit(script, dataset, tmp_path):
    """Runs train.py on the small dataset as run `name`; returns the run's folder."""

    def run(name, *flags):
        script(train, "--dataset", dataset, "--ckpts-dir", tmp_path, "--name", name, *FLAGS, *flags)
        return tmp_path / name

    return run


def weights(folder, file="last.pth"):
    return load_checkpoint(folder / file)["state_dict"]


def assert_same_weights(one, two):
    for file in ("last.pth", "best.pth"):
        a, b = weights(one, file), weights(two, file)
        assert list(a) == list(b)
        for name in a:
            assert torch.equal(a[name], b[name]), name


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

    monkeypatch.setattr(train, "save_checkpoint", stopping(train.save_checkpoint))
    monkeypatch.setattr(train.Watch, "check", stopping(train.Watch.check))
    return moments


@pytest.mark.parametrize("flags", [("--schedule", "plateau"), ("--sampling", "balanced_source")])
@pytest.mark.parametrize("moment", range(9))
def test_a_run_stopped_at_any_moment_and_resumed_ends_with_the_same_weights(
    fit, monkeypatch, flags, moment
):
    """The moments: before the first save of all, and spread over the steps and the saves."""
    flags = ("--epochs", 3, "--lr-reduce-patience", 0, *flags, "--save-minutes", 0)
    with monkeypatch.context() as patch:
        moments = moments_of(patch)
        whole = fit("whole", *flags)
    stop_at = 1 + (len(moments) - 1) * moment // 8
    with monkeypatch.context() as patch:
        moments_of(patch, stop_at)
        with pytest.raises(KeyboardInterrupt):
            fit("broken", *flags)
    started = stop_at > 1  # else nothing was saved, settings included
    broken = fit("broken", "--resume", *(() if started else flags))
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


def test_tensorboard_keeps_every_epoch_of_a_run_that_went_on(fit):
    folder = fit("a", "--epochs", 2)
    fit("a", "--resume")
    events = EventAccumulator(str(folder))
    events.Reload()
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
    with pytest.raises(ValueError, match=r"--batch-size: found 3, but the run has 16"):
        fit("a", "--resume", "--batch-size", 3)
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


def test_a_loss_that_is_no_number_stops_the_run_says_where_and_keeps_the_checkpoints(fit, tmp_path):
    flags = ("--lr", 1e30, "--warmup-epochs", 0, "--optimizer", "adam", "--save-minutes", 0)
    with pytest.raises(ValueError, match=r"step \d+: the loss is no number any more; lower --lr"):
        fit("a", "--epochs", 3, *flags)
    last = weights(tmp_path / "a")
    assert all(value.isfinite().all() for name, value in last.items() if "num_batches" not in name)


def test_a_run_that_names_every_image_alike_stops_says_where_and_keeps_the_checkpoints(
    fit, tmp_path
):
    """With the weight of one class alone, there is nothing else to learn."""
    flags = ("--loss-weights", 0, 0, 1, "--label-smoothing", 0, "--lr", 0.1, "--epochs", 9)
    with pytest.raises(ValueError, match=r"step \d+: for 2 epochs every .* was named COVID-19"):
        fit("a", *flags, "--collapse-patience", 2)
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


def test_a_clipped_gradient_learns_less(fit):
    """By plain numbers: adam's steps do not depend on the length, but on how it changes."""
    free = weights(fit("free", "--epochs", 1))
    clipped = weights(fit("clipped", "--epochs", 1, "--clip-norm", 1e-3))
    assert not torch.equal(free["logits.module.bias"], clipped["logits.module.bias"])


def test_tensorboard_has_what_a_run_is_judged_by(fit):
    folder = fit("a", "--epochs", 1)
    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()
    wanted = {"train_loss", "val_loss", "val_macro_f1", "val_accuracy", "lr", "images_per_second"}
    assert {f"epoch/{name}" for name in wanted} | {"train/step_loss", "best/val_macro_f1"} <= set(
        tags["scalars"]
    )
    assert {"train/batch", "epoch/confusion_matrix"} <= set(tags["images"])
    assert "settings/text_summary" in tags["tensors"]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_balanced_sampling_does_not_weigh_the_classes_again(fit):
    counts = weights(fit("counts", "--epochs", 1, "--sampling", "balanced"))
    none = weights(fit("even", "--epochs", 1, "--sampling", "balanced", "--loss-weights", "none"))
    assert torch.equal(counts["logits.module.bias"], none["logits.module.bias"])


def test_the_head_is_drawn_anew_where_the_order_of_the_classes_differs(fit, caplog):
    caplog.set_level("INFO")
    start = fit("start", "--epochs", 1, "--mapping", "COVID-19=0", "normal=1", "pneumonia=2")
    fit("next", "--epochs", 1, "--weights", start / "best.pth")
    assert "other classes, so the head is drawn anew" in caplog.text


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
        ("--n-threads", -1, "0 or more"),
        ("--patient-cap", 0, "1 or more"),
        ("--clip-norm", -1.0, "0 or more"),
    ],
)
def test_a_number_out_of_range_is_status_2(fit, tmp_path, capsys, flag, value, expected):
    with pytest.raises(SystemExit) as stop:
        fit("a", flag, value)
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"{flag}: found {value}; expected {expected}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--patient-cap", 2), "--patient-cap: shuffle shows every image; give --sampling"),
        (("--thaw-epoch", 2), "--thaw-epoch: found no block that is frozen; give --freeze"),
    ],
)
def test_a_flag_that_would_do_nothing_is_status_2(fit, capsys, flags, message):
    with pytest.raises(SystemExit) as stop:
        fit("a", *flags)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


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


def test_a_run_on_separable_images_learns(fit, script, dataset, tmp_path):
    """Classes painted as brightness: the loop must find them, or it does not learn at all."""
    from PIL import Image

    easy = tmp_path / "easy"
    shutil.copytree(dataset, easy)
    shade = {"normal": 30, "pneumonia": 128, "COVID-19": 220}
    for split in ("train", "val"):
        for name, label in pd.read_csv(easy / f"{split}_metadata.csv")[
            ["filename", "label"]
        ].values:
            pixels = np.random.default_rng(0).integers(-20, 20, (64, 64)) + shade[label]
            Image.fromarray(pixels.astype(np.uint8)).save(easy / split / name)
    flags = ("--dataset", easy, "--ckpts-dir", tmp_path, "--name", "run", *FLAGS)
    script(train, *flags, "--epochs", 12, "--jitter", 0, "--lr", 0.05)
    assert load_checkpoint(tmp_path / "run/best.pth")["metrics"]["macro_f1"] > 0.9


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
        patch.setattr(train, "finish", power_cut)
        with pytest.raises(OSError, match="power"):
            fit("a", "--epochs", 2)
    folder = fit("a", "--resume")
    assert load_checkpoint(folder / "best.pth")["temperature"] == whole["temperature"]
    assert load_checkpoint(folder / "best.pth")["gate"]


def power_cut(*_):
    raise OSError("power cut")

"""train.py: runs that diverge, settings and input that make no sense."""

import os
import shutil
import signal
from argparse import Namespace

import numpy as np
import pytest
import torch

import config
import train
from data.dataset import RadiographDataset
from tests.helpers import systems
from tests.helpers.training import saves_of, weights
from util.checkpoint import load_checkpoint
from util.flags import Parser
from util.training.settings import check_settings
from util.training.step import Descent


@pytest.mark.parametrize("minutes", [0, 60])
def test_a_loss_that_is_no_number_stops_the_run_says_where_and_keeps_what_was_saved(
    fit, tmp_path, minutes
):
    flags = ("--lr", 1e30, "--warmup-epochs", 0, "--optimizer", "adam", "--save-minutes", minutes)
    with pytest.raises(ValueError, match=r"step \d+: the loss is not finite; lower --lr"):
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
    with pytest.raises(ValueError, match=f"step {end}: the loss is not finite") as error:
        fit("a", "--epochs", 2)
    assert "of epoch 1; its best.pth has no temperature and no gate" in str(error.value)
    assert "\n" not in str(error.value)
    best = load_checkpoint(tmp_path / "a" / "best.pth")
    assert best["epoch"] == 1
    assert np.isfinite(best["metrics"]["loss"])
    for file in ("best.pth", "last.pth"):
        for name, value in weights(tmp_path / "a", file).items():
            assert value.abs().max() < 1e3, (file, name)


def test_an_epoch_whose_validation_loss_is_no_number_is_never_the_best(fit, tmp_path, monkeypatch):
    good = {"accuracy": 0.9, "macro_f1": 0.9, "loss": float("nan"), "classes_named": 3}
    monkeypatch.setattr(train, "validate", lambda *_: (np.eye(3, dtype=int), good))
    with pytest.raises(ValueError, match="the loss is not finite"):
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
    with pytest.raises(ValueError, match=r"step 3: the loss is not finite.* none yet, and"):
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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--mapping", "normal=0", "covid=1"), "found covid; expected labels of"),
        (("--mapping", "normal=0", "COVID-19=2"), r"found indices \[0, 2\]; expected 0, 1"),
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


ABOVE_0 = "expected 0 or more, and not all of them 0"
SCALE = "expected the smallest factor, then the largest"
NAME = "expected a folder's name. See --ckpts-dir"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--lr", 0), "--lr: found 0.0; expected 1e-12 or more"),
        (("--lr", "nan"), "--lr: found nan; expected 1e-12 or more"),
        (("--epochs", 0), "--epochs: found 0; expected 1 or more"),
        (("--batch-size", 0), "--batch-size: found 0; expected 1 or more"),
        (("--width", 8), "--width: found 8; expected 32 or more"),
        (("--label-smoothing", 2), "--label-smoothing: found 2.0; expected 0 to 1"),
        (
            ("--early-stopping-patience", 0),
            "--early-stopping-patience: found 0; expected 1 or more",
        ),
        (("--rotation", -5), "--rotation: found -5.0; expected 0 or more"),
        (
            ("--augmentation-warmup-epochs", -1),
            "--augmentation-warmup-epochs: found -1.0; expected 0 or more",
        ),
        (("--n-threads", -1), "--n-threads: found -1; expected 0 or more"),
        (("--patient-cap", 0), "--patient-cap: found 0; expected 1 or more"),
        (("--clip-norm", 0), "--clip-norm: found 0.0; expected 1e-12 or more"),
        (
            ("--random-seed", 2**63),
            f"--random-seed: found {2**63}; expected 0 to 9223372036854775807",
        ),
        (("--lr-reduce-factor", 1), "--lr-reduce-factor: found 1.0; expected 0 to below 1"),
        (("--lr-reduce-factor", "nan"), "--lr-reduce-factor: found nan; expected 0 to below 1"),
        (("--average-decay", 0), "--average-decay: found 0.0; expected between 0 and 1, or none"),
        (("--average-decay", 1), "--average-decay: found 1.0; expected between 0 and 1, or none"),
        (
            ("--average-decay", "nan"),
            "--average-decay: found nan; expected between 0 and 1, or none",
        ),
        (("--loss-weights", 1, "nan", 1), f"--loss-weights: found 1.0 nan 1.0; {ABOVE_0}"),
        (("--loss-weights", 1, "inf", 1), f"--loss-weights: found 1.0 inf 1.0; {ABOVE_0}"),
        (("--loss-weights=-1",), f"--loss-weights: found -1.0; {ABOVE_0}"),
        (("--loss-weights", 0, 0, 0), f"--loss-weights: found 0.0 0.0 0.0; {ABOVE_0}"),
        (("--scale", 0, 1), f"--scale: found 0.0 1.0; {SCALE}"),
        (("--scale", 1.2, 0.8), f"--scale: found 1.2 0.8; {SCALE}"),
        (("--scale", 1, "inf"), f"--scale: found 1.0 inf; {SCALE}"),
        (("--scale", "nan", 1), f"--scale: found nan 1.0; {SCALE}"),
        (
            ("--loss-weights", 1, 2),
            "--loss-weights: found 2 numbers; expected 3, one for each class of --mapping",
        ),
        (
            ("--leave-out", "rsna", "--loss-weights", 1, 2, 3, 4),
            "--loss-weights: found 4 numbers; expected 3, one for each class of --mapping",
        ),
        (
            ("--mapping", "a=0", "b=1", "c=0", "--loss-weights", 1, 2, 3),
            "--loss-weights: found 3 numbers; expected 2, one for each class of --mapping",
        ),
        (("--name", "../a"), f"--name: found '../a'; {NAME}"),
        (("--name", "/a"), f"--name: found '/a'; {NAME}"),
        (("--name", ".."), f"--name: found '..'; {NAME}"),
        (("--name", ""), f"--name: found ''; {NAME}"),
        (
            ("--patient-cap", 2),
            "--patient-cap: shuffle shows every image; give --sampling balanced with it",
        ),
        (
            ("--thaw-epoch", 2),
            "--thaw-epoch: found no block that is frozen; give --freeze with it",
        ),
        (
            ("--freeze", "block0", "--epochs", 2, "--thaw-epoch", 2),
            "--thaw-epoch: found 2; expected less than --epochs",
        ),
        (
            ("--lr-reduce-factor", 0.5),
            "--lr-reduce-factor: cosine waits for no standstill; give --schedule plateau with it",
        ),
        (
            ("--schedule", "plateau", "--warmup-epochs", 2),
            "--warmup-epochs: plateau has no warm-up; leave it out",
        ),
        (
            ("--weights", "a.pth", "--backbone-weights", "IMAGENET1K_V1"),
            "--backbone-weights: the trunk is in --weights; leave one of them out",
        ),
        (("--keep-weights", 1), "--keep-weights: found 1.0; expected 0 to below 1"),
        (
            ("--keep-weights", 0.5),
            "--keep-weights: found no --weights to keep; give them, or leave it out",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_line_and_status_2(
    fit, capsys, tmp_path, flags, message
):
    with pytest.raises(SystemExit) as stop:
        fit("a", *flags)
    assert (stop.value.code, capsys.readouterr().err) == (2, f"train.py: {message}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": None}, "lr is missing"),
        ({"learning_rate": 0.1}, "learning_rate is not a setting"),
        ({"lr": None, "rate": 0.1}, "lr is missing; rate is not a setting"),
    ],
)
def test_a_config_with_other_names_is_one_line(monkeypatch, capsys, change, message):
    names = {name: value for name, value in vars(config).items() if name in config.__annotations__}
    names = {
        name: value
        for name, value in (names | change).items()
        if value is not None or name not in change
    }
    parser = Parser(prog="train.py")
    with pytest.raises(SystemExit):
        check_settings(parser, Namespace(given=set(), **names))
    wanted = f"train.py: config.py: {message}; expected a line for each setting\n"
    assert capsys.readouterr().err == wanted


def test_a_choice_that_only_an_edited_annotation_allows_is_refused(capsys):
    names = {name: value for name, value in vars(config).items() if name in config.__annotations__}
    for name in ("precision", "sampling", "optimizer", "schedule", "choose"):
        with pytest.raises(SystemExit):
            check_settings(
                Parser(prog="train.py"), Namespace(given=set(), **names | {name: "lion"})
            )
        assert f"train.py: --{name}: found lion; expected one of {names[name]}, " in (
            capsys.readouterr().err
        )


def test_settings_that_make_no_sense_are_told_before_an_image_is_decoded(fit, dataset, tmp_path):
    fresh = tmp_path / "fresh"
    shutil.copytree(dataset, fresh, ignore=shutil.ignore_patterns("decoded"))
    for flags in (("--freeze", "layer1"), ("--sync-batchnorm",), ("--loss-weights", 1, 2)):
        with pytest.raises((ValueError, SystemExit)):
            fit("a", "--dataset", fresh, *flags)
    assert not (fresh / "decoded").exists()


def test_a_dataset_that_is_not_there_leaves_no_folder_for_runs(fit, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder; .* give --dataset"):
        fit("a", "--dataset", "nowhere", "--ckpts-dir", tmp_path / "new" / "runs")
    assert not list(tmp_path.iterdir())


def test_one_image_at_a_time_is_refused_where_it_has_no_variance_and_nowhere_else(
    fit, tmp_path, make_dataset
):
    three = make_dataset(
        *((label, split) for label in "AB" for split in ("train", "val")), ("A", "train")
    )
    flags = ("--dataset", three, "--mapping", "A=0", "B=1", "--epochs", 1)
    for size in (1, 2):  # batches of 1, 1, 1 and of 1, 2
        with pytest.raises(ValueError, match="batch_size: found a batch with one image on a dev"):
            fit("a", *flags, "--batch-size", size)
    assert not (tmp_path / "a").exists()
    fit("a", *flags, "--batch-size", 3)
    fit("b", *flags, "--batch-size", 1, "--width", 64)


def test_training_images_of_one_class_are_one_line(fit, make_dataset):
    folder = make_dataset(("A", "train"), ("A", "train"), ("A", "val"), ("B", "val"))
    flags = ("--mapping", "A=0", "B=1", "--loss-weights", "none")
    with pytest.raises(ValueError, match="train has images of one class only; expected two or mo"):
        fit("a", "--dataset", folder, *flags)


def test_a_run_of_few_images_says_that_it_has_no_gate(fit, make_dataset, caplog):
    images = [(label, split) for split in ("train", "train", "val") for label in "AB"]
    folder = make_dataset(*images)
    fit("a", "--dataset", folder, "--mapping", "A=0", "B=1", "--epochs", 1)
    assert "4 training images are too few for a gate: no image will be doubted" in caplog.text


@systems.posix
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

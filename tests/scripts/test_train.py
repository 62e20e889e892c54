"""train.py: what a run leaves, what its settings do, that validation decides."""

import json
import shutil
import sys
from contextlib import nullcontext
from itertools import groupby

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
from model.starting_network import start_network
from model.weights import load_network
from tests.helpers.networks import TinyNext, input_form, save_network, use_network
from tests.helpers.training import (
    FLAGS,
    ask_to_stop,
    assert_same_weights,
    events_of,
    last_weights,
    weights,
)
from util.checkpoint import load_checkpoint, save_checkpoint
from util.metrics.calibration import fit_temperature
from util.metrics.within_source import within_source_auroc
from util.training import choice, run_folder
from util.words import SCORES


def test_a_run_leaves_what_is_promised_and_in_tensorboard_what_it_is_judged_by(fit_drawn, dataset):
    folder = fit_drawn("a", "--epochs", 2)
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
    config = json.loads((folder / "config.json").read_text())
    assert best["config"] == config | {"scale": best["config"]["scale"]}
    assert "optimizer" not in best
    last = load_checkpoint(folder / "last.pth")
    assert {"optimizer", "scheduler", "scaler", "rng"} <= last.keys()
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


@pytest.mark.parametrize("choose", SCORES)
def test_best_is_the_epoch_of_the_best_validation_score(fit, monkeypatch, choose):
    validate, epochs = train.validate, iter(range(4))
    best_of = dict(zip(SCORES, range(4), strict=True))  # each score has its best in another epoch

    def scored(*words):
        matrix, metrics = validate(*words)
        epoch = next(epochs)
        scores = {name: 0.8 if epoch == best_of[name] else 0.4 for name in SCORES}
        return matrix, metrics | scores | {"loss": 1 - scores["loss"]}

    monkeypatch.setattr(train, "validate", scored)
    monkeypatch.setattr(choice, "FEWEST_PATIENTS", 1)  # the sample is small
    folder = fit("a", "--epochs", 4, "--choose", choose)
    best, history = load_checkpoint(folder / "best.pth"), pd.read_csv(folder / "history.csv")
    assert list(history["epoch"]) == [1, 2, 3, 4]
    assert best["epoch"] == 1 + best_of[choose]
    assert best["chosen_by"] == choose
    assert best["metrics"][choose] == history[f"val_{choose}"][best_of[choose]]
    (scalars,) = [tag for tag in events_of(folder).Tags()["scalars"] if tag.startswith("best/")]
    assert scalars == f"best/val_{choose}"


def test_too_few_images_within_sources_choose_no_best(fit, dataset, tmp_path, caplog):
    other = tmp_path / "other"
    shutil.copytree(dataset, other, ignore=shutil.ignore_patterns("decoded"))
    table = pd.read_csv(other / "val_metadata.csv", dtype=str, keep_default_na=False)
    table.assign(source=table["label"]).to_csv(other / "val_metadata.csv", index=False)
    folder = fit("a", "--epochs", 1, "--dataset", other, "--choose", "within_source_auroc")
    text = "within_source_auroc: found too little in validation, where no source has two"
    assert text in caplog.text
    assert load_checkpoint(folder / "best.pth")["chosen_by"] == "macro_auroc"
    assert pd.read_csv(folder / "history.csv")["val_within_source_auroc"].isna().all()


def test_the_history_has_the_aurocs_of_the_validation_over_all_and_within_sources(fit, dataset):
    folder = fit("a", "--epochs", 1)
    best = load_checkpoint(folder / "best.pth")
    logits, targets = best["validation"]["logits"], np.array(best["validation"]["targets"])
    said = logits.double().softmax(1).numpy()
    expected = np.mean([roc_auc_score(targets == k, said[:, k]) for k in range(3)])
    (found,) = pd.read_csv(folder / "history.csv")["val_macro_auroc"]
    assert found == best["metrics"]["macro_auroc"] == pytest.approx(expected, abs=1e-4)
    sources = pd.read_csv(dataset / "val_metadata.csv")["source"].to_numpy()
    expected = within_source_auroc(said, targets, sources)
    assert expected != pytest.approx(best["metrics"]["macro_auroc"])
    assert best["metrics"]["within_source_auroc"] == pytest.approx(expected, abs=1e-4)


def test_validation_has_the_patients_and_resume_adds_them_to_a_run_of_an_earlier_version(
    fit, dataset
):
    folder = fit("a", "--epochs", 1)
    best = load_checkpoint(folder / "best.pth")
    patients = pd.read_csv(dataset / "val_metadata.csv")["patient_id"]
    assert best["validation"]["patients"] == pd.factorize(patients)[0].tolist()
    assert len(set(patients)) < len(patients)
    older = {name: best["validation"][name] for name in ("logits", "targets")}
    save_checkpoint(folder / "best.pth", best | {"validation": older})
    fit("a", "--resume")
    again = load_checkpoint(folder / "best.pth")
    assert again["validation"]["patients"] == best["validation"]["patients"]
    for name, weight in best["state_dict"].items():
        assert torch.equal(again["state_dict"][name], weight), name


def test_training_never_reads_the_test_split(fit, script, dataset, tmp_path):
    blind = tmp_path / "blind"
    shutil.copytree(dataset, blind)
    shutil.rmtree(blind / "test")
    (blind / "test_metadata.csv").unlink()
    flags = ("--dataset", blind, "--ckpts-dir", tmp_path, "--name", "b", *FLAGS, "--epochs", 1)
    script(train, *flags)
    assert_same_weights(tmp_path / "b", fit("a", "--epochs", 1))


def test_a_source_left_out_is_not_learned_from(fit, script, dataset, tmp_path, caplog):
    """The run has the weights, the gate and the temperature of a dataset without it."""
    flags = ("--epochs", 1, "--leave-out", "covid-chestxray", "--loss-weights", 1, 2)
    one = load_checkpoint(fit("one", *flags) / "best.pth")
    assert one["mapping"] == {"normal": 0, "pneumonia": 1}
    caplog.set_level("INFO")
    assert "in train only covid-chestxray has COVID-19, which the network does not learn" in (
        caplog.text
    )
    other = tmp_path / "without"
    shutil.copytree(dataset, other, ignore=shutil.ignore_patterns("decoded"))
    for split in ("train", "val"):
        path = other / f"{split}_metadata.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table[table["source"] == "rsna"].to_csv(path, index=False)
    alike = ("--epochs", 1, "--mapping", "normal=0", "pneumonia=1", "--loss-weights", 1, 2)
    two = load_checkpoint(fit("two", "--dataset", other, *alike) / "best.pth")
    for name, weight in one["state_dict"].items():
        assert torch.equal(two["state_dict"][name], weight), name
    for name in ("temperature", "prior", "metrics"):
        assert one[name] == pytest.approx(two[name], nan_ok=True)
    assert torch.equal(one["validation"]["logits"], two["validation"]["logits"])
    assert str(one["gate"]) == str(two["gate"])
    fit("one", "--epochs", 1, "--leave-out", "covid-chestxray", "--resume")
    assert "the run has ended" in caplog.text
    whole = fit("whole", "--epochs", 1) / "best.pth"
    with pytest.raises(ValueError, match=r"whole/best\.pth: its training may have seen covid-ch"):
        fit("leak", *flags, "--weights", whole)
    fit("on", *flags, "--weights", tmp_path / "one/best.pth")  # which left it out, too


def test_the_same_seed_gives_the_same_weights_with_any_number_of_workers(fit):
    one = fit("zero", "--epochs", 1)
    assert_same_weights(one, fit("by 2", "--epochs", 1, "--n-threads", 2))
    other = weights(fit("other", "--epochs", 1, "--random-seed", 1))
    assert not torch.equal(weights(one)["logits.module.weight"], other["logits.module.weight"])


@pytest.mark.parametrize(
    "flags",
    [
        ("--augmentation-warmup-epochs", 1), ("--clip-norm", 1e-12), ("--loss-weights", "none"),
        ("--sampling", "tempered_source"), ("--sampling", "mixed_sources"),
    ],
)  # fmt: skip
def test_settings_change_what_an_epoch_teaches(fit, flags):
    plain, other = (weights(fit(str(k), "--epochs", 1, *(k * flags))) for k in (0, 1))
    assert not torch.equal(plain["logits.module.weight"], other["logits.module.weight"])


def test_a_checkpoint_counts_only_the_images_that_its_sampling_can_show(fit, dataset):
    table = pd.read_csv(dataset / "train_metadata.csv")
    table = table[table["label"] != "pneumonia"]  # then all of rsna are normal
    every = table["source"].value_counts().to_dict()
    several = {name: n for name, n in every.items() if name != "rsna"}
    assert 0 < len(several) < len(every)
    for sampling, wanted in (("shuffle", every), ("mixed_sources", several)):
        flags = ("--sampling", sampling, "--mapping", "normal=0", "COVID-19=1")
        checkpoint = load_checkpoint(fit(sampling, "--epochs", 1, *flags) / "best.pth")
        assert checkpoint["sources"] == wanted


def test_early_stopping_ends_the_run_after_patience_epochs_without_a_better_one(fit):
    folder = fit("a", "--epochs", 9, "--early-stopping-patience", 2, "--lr", 1e-12)
    scores = pd.read_csv(folder / "history.csv")["val_macro_f1"]
    assert len(scores) < 9
    assert len(scores) - 1 - scores.idxmax() == 2


def test_plateau_lowers_the_rate_after_patience_epochs_at_a_standstill(fit, monkeypatch):
    still = {"loss": 1.0, "accuracy": 0.5, "macro_f1": 0.5, "classes_named": 2}
    still["within_source_auroc"] = np.nan
    monkeypatch.setattr(train, "validate", lambda *_: (np.eye(3, dtype=int), still))
    flags = ("--schedule", "plateau", "--lr-reduce-patience", 1, "--lr-reduce-factor", 0.5)
    folder = fit("a", "--epochs", 4, "--lr", 0.01, *flags)
    rates = pd.read_csv(folder / "history.csv")["lr"]
    assert list(rates) == pytest.approx([0.01, 0.01, 0.01, 0.005])


def test_frozen_blocks_stay_as_they_are_until_they_are_thawed(fit):
    start = fit("start", "--epochs", 1) / "last.pth"
    flags = ("--weights", start, "--freeze", "block0", "--epochs", 2)
    frozen = weights(fit("frozen", *flags))
    thawed = weights(fit("thawed", *flags, "--thaw-epoch", 1))
    for name, value in weights(start.parent).items():
        if name.startswith("block0"):
            assert torch.equal(value, frozen[name]), name
    assert not torch.equal(frozen["block0.module.0.0.weight"], thawed["block0.module.0.0.weight"])


def test_the_average_is_kept_and_the_weights_go_on_untouched_by_it(fit):
    plain = fit("plain", "--epochs", 1, "--average-decay", "none")
    averaged = fit("averaged", "--epochs", 1, "--average-decay", 0.6)
    for name, weight in weights(plain).items():
        assert torch.equal(last_weights(plain)[name], weight)
        assert torch.equal(last_weights(averaged)[name], weight)
    name = "logits.module.weight"
    assert not torch.equal(weights(averaged)[name], weights(plain)[name])


@pytest.mark.parametrize("decay", ["none", 1e-9])
def test_a_share_of_the_network_that_it_started_from_stays_in_the_result(fit, decay):
    first = fit("first", "--epochs", 1)
    flags = ("--weights", first, "--keep-weights", 0.25, "--average-decay", decay)
    second = fit("second", "--epochs", 1, *flags)
    before, trained = weights(first), last_weights(second)
    for name, kept in weights(second).items():
        if kept.is_floating_point():
            torch.testing.assert_close(kept, 0.25 * before[name] + 0.75 * trained[name])


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
    monkeypatch.setattr(run_folder, "show_start", lambda *words: seen.append(words[-1]))
    flags = ("--flip", 0, "--rotation", 7, "--shift", 0.1, "--scale", 1, 1.2, "--jitter", 0.9)
    flags += ("--appearance", 0.5)
    warm = ("--epochs", 3, "--augmentation-warmup-epochs", 2, "--random-seed", 7)
    best = load_checkpoint(fit("a", *warm, *flags, "--batch-size", 8) / "best.pth")
    whole = Augmentation(0, 7, 0.1, (1, 1.2), 0.9, 0.5)
    form = InputFormat.of(best["input"])
    images, _ = load_splits(dataset, best["mapping"], form, whole, lambda items, title: items)
    batches = EpochBatches(len(images), 8, seed=7)
    batches.begin(2)
    assert torch.equal(seen[0], images.__getitems__(next(iter(batches)))[0])


def test_images_grow_in_training_to_the_size_at_which_they_are_validated(fit, monkeypatch):
    sides, normalise = [], InputFormat.normalise

    def normalising(form, pixels):
        sides.append(pixels.shape[-1])
        return normalise(form, pixels)

    monkeypatch.setattr(InputFormat, "normalise", normalising)
    size = ("--width", 64, "--height", 64)
    folder = fit("a", *size, "--epochs", 2, "--size-warmup-epochs", 1, "--batch-size", 8)
    assert [side for side, _ in groupby(sides)] == [32, 64]
    images = load_checkpoint(folder / "best.pth")["sources"].values()
    assert sides.index(64) == -(-sum(images) // 8)  # batches of the first epoch, then validation


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_run_whose_images_never_have_their_whole_size_is_warned(fit, caplog, epochs):
    fit("a", "--epochs", epochs, "--size-warmup-epochs", 1.5)
    assert ("size_warmup_epochs: no epoch is left" in caplog.text) == (epochs == 2)


def test_a_label_that_the_mapping_leaves_out_is_not_used_and_the_log_says_how_many(
    fit, caplog, dataset
):
    caplog.set_level("INFO")
    folder = fit("a", "--epochs", 1, "--mapping", "normal=0", "COVID-19=1")
    number = (pd.read_csv(dataset / "train_metadata.csv")["label"] == "pneumonia").sum()
    assert f"train: mapping leaves out pneumonia, {number} images" in caplog.text
    assert weights(folder)["logits.module.bias"].shape == (2,)


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
            "not twice": ("--sampling", "balanced", "--loss-weights", "counts"),
        }.items()
    }
    plain, *even = found.values()
    assert plain == pytest.approx(list(part))
    assert even == [pytest.approx([1 / 3] * 3)] * 3


@pytest.mark.parametrize(
    "mapping", [{"normal": 0, "COVID-19": 1}, {"COVID-19": 0, "normal": 1, "pneumonia": 2}]
)
def test_training_can_start_from_a_checkpoint_with_other_classes(
    tmp_path, monkeypatch, caplog, mapping
):
    caplog.set_level("INFO")
    use_network(monkeypatch)
    saved = TinyNext(3)
    path = save_network(tmp_path / "best.pth", saved, input_form((32, 32)))
    model, form, *_ = start_network(mapping, str(path), None, (64, 48), None)
    assert "other classes, so the head starts from random weights" in caplog.text
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved.state_dict()[name]) != name.startswith("logits"), name
    assert (form.size, form.mean, form.std) == ((64, 48), (0.5,) * 3, (0.25,) * 3)
    with pytest.raises(ValueError, match="--keep-weights: found the classes normal, pneumonia"):
        start_network(mapping, str(path), None, (64, 48), None, keep=True)


def test_a_run_keeps_what_its_weights_learned_from_before(fit, tmp_path, monkeypatch, caplog):
    earlier = {"fingerprint": "w", "sources": None, "fold": None}
    about = {"fingerprint": "x", "sources": {"far": 9}, "config": {"fold": "1/2"}}
    path = tmp_path / "start.pth"
    past = {"started_from": [earlier], "taught_by": [earlier]}
    save_network(path, TinyNext(3), input_form((32, 32)), **about, **past)
    with monkeypatch.context() as patch:
        ask_to_stop(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            fit("on", "--weights", path, "--epochs", 1)
    said = "start.pth: learned from other data (far, unknown sources). Where patients of these are"
    assert said in caplog.text
    path.unlink()  # a run that goes on has its own
    kept = [about | {"fold": "1/2", "taught_by": [earlier]}, earlier]
    assert load_checkpoint(fit("on", "--resume") / "best.pth")["started_from"] == kept


def test_separable_classes_are_learned_in_float32_and_in_bfloat16_alike(fit, easy):
    flags = ("--dataset", easy, "--epochs", 8, "--jitter", 0, "--lr", 0.05)
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


NEEDS_COMPILER = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("g++") is None,
    reason="needs Linux and g++, with which torch compiles",
)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=NEEDS_COMPILER)])
def test_a_compiled_network_learns_what_it_learns_without(fit, monkeypatch, backend):
    compile_, asked = torch.compile, []
    monkeypatch.setattr(
        torch, "compile", lambda net: asked.append(net) or compile_(net, backend=backend)
    )
    flags = ("--epochs", 2, "--batch-size", 128)  # one batch: it is compiled for one size
    eager = fit("eager", *flags)
    assert not asked
    compiled = fit("compiled", *flags, "--compile")
    assert len(asked) == 1
    for name, value in weights(eager).items():
        torch.testing.assert_close(weights(compiled)[name], value, rtol=1e-2, atol=1e-3, msg=name)

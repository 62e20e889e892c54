import importlib
import json
import math
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torch import nn

import config
import generate_dataset
import util.device
from benchmarks import __main__ as benchmarks
from benchmarks import measure, sources, table
from benchmarks.recipes import ledger, rivals, variants
from benchmarks.recipes import scores as recipes
from benchmarks.speed import epoch, generate, growth, pairs, plain, predict, trial
from benchmarks.speed.plain_network import plain_network
from data.dataset_folder import read_about, read_split
from data.sample import write_sample
from data.sampling import EpochBatches
from data.transforms import PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.weights import check_fit
from tests.conftest import run_script
from tests.helpers.networks import TinyNext, use_network
from tests.helpers.paths import ROOT
from util.checkpoint import load_checkpoint, save_checkpoint
from util.device import pick_device, pick_precision
from util.metrics.calibration import fit_temperature
from util.versions import machine


@pytest.fixture(scope="module")
def few_sources(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("raw"), patients=12, size=64)


def test_a_measured_command_has_its_time_and_the_memory_of_all_its_processes():
    hold = "import time; held = b'x' * (60 << 20); time.sleep(0.5)"
    single = measure.measure("-c", hold)
    assert 0.5 < single.seconds < 10
    assert 60 < single.peak < 120
    start = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {hold!r}]); "
    both = measure.measure("-c", start + hold + "; p.wait()")
    assert both.peak > single.peak + 50


def test_the_plain_recipes_convolve_as_torch_does():
    torch.manual_seed(1)
    plainly = plain_network(3).eval()
    layers = [type(layer) for layer in plainly.modules() if isinstance(layer, nn.Conv2d)]
    assert set(layers) == {nn.Conv2d}
    ours = COVIDNext50(3).eval()
    ours.load_state_dict(plainly.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), plainly(images), rtol=1e-4, atol=1e-4)


def test_the_processor_time_is_that_of_all_processes_and_not_of_waiting():
    work = "import time\nwhile time.process_time() < 0.3: pass"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}]); "
    both = measure.measure("-c", f"{start} exec({work!r}); time.sleep(0.4)")
    assert 0.59 < both.cpu < 0.9  # two times 0.3, as the clock ticks
    assert both.seconds > both.cpu + 0.3


def test_a_command_that_fails_is_an_error_with_its_last_line():
    with pytest.raises(ChildProcessError, match="ValueError: no such luck"):
        measure.measure("-c", "raise ValueError('no such luck')")


def test_a_table_has_a_heading_and_numbers_to_three_figures():
    rows = [{"recipe": "plain", "images/s": 11.234}, {"recipe": "ours", "images/s": 1234.5}]
    rows.append({"recipe": "both", "MiB": 9})  # of another benchmark
    assert table.show(rows, as_json=False).splitlines() == [
        "recipe  images/s  MiB",
        "plain       11.2     ",
        "ours        1234     ",
        "both                9",
    ]
    assert json.loads(table.show(rows, as_json=True)) == rows


def test_the_plain_recipe_copies_every_image_in_full_size(few_sources, tmp_path, monkeypatch):
    flags = measure.source_flags(few_sources)
    monkeypatch.setattr(sys, "argv", ["plain", str(tmp_path / "set"), *flags])
    plain.main()
    tables = [pd.read_csv(tmp_path / f"set/{split}_metadata.csv") for split in ("train", "test")]
    names = pd.concat(tables)["filename"]
    assert set(names) == {path.name for path in (tmp_path / "set").glob("*.png")}
    with Image.open(tmp_path / "set" / names[names.str.startswith("rsna")].iloc[0]) as image:
        assert (image.mode, image.size) == ("L", (64, 64))


def test_both_recipes_are_measured_on_the_same_images_in_turn(few_sources, monkeypatch):
    ran = []

    def fake(*words):
        ran.append(words)
        return measure.Measured(10.0 if plain.__name__ in words else 0.5, cpu=0.9, peak=99.0)

    monkeypatch.setattr(generate, "measure", fake)
    flags = measure.source_flags(few_sources)
    rows = run(["generate", *flags, "--rounds", "2"])
    assert [(plain.__name__ in words) for words in ran] == [True, False, True, False]
    first, second = rows
    assert second["images/s"] == pytest.approx(20 * first["images/s"])
    assert first["images/s"] > 2
    assert (first["times the first"], second["times the first"]) == (1, 20)


def test_growth_is_stated_by_image_against_the_first(monkeypatch):
    seconds = iter([4.0, 5.0])

    def fake(*words):
        return measure.Measured(seconds=next(seconds), cpu=4.0, peak=99.0)

    monkeypatch.setattr(growth, "measure", fake)
    first, second = run(["growth", "--images", "16", "32", "--size", "64"])
    assert first["images"] < second["images"]
    assert first["ms/image"] == pytest.approx(4000 / first["images"])
    assert second["ms/image"] == pytest.approx(5000 / second["images"])
    assert second["times the first"] == pytest.approx(second["ms/image"] / first["ms/image"])
    further = second["images"] - first["images"]
    assert second["ms/further image"] == pytest.approx(1000 / further)


def run(words):
    args = parse(words)
    return benchmarks.module_of(args.benchmark).run(args)


def parse(words):
    before, sys.argv = sys.argv, ["benchmarks", *words]
    try:
        return benchmarks.arguments()
    finally:
        sys.argv = before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["speed"], "invalid choice: 'speed'"),
        (["generate", "--workers", "0"], "--workers: found 0; expected 1 or more"),
        (["generate", "--rounds", "0"], "--rounds: found 0; expected 1 or more"),
        (["recipes", "--jobs", "0"], "--jobs: found 0; expected 1 or more"),
        (["growth", "--images", "5"], "--images: found 5; expected 16 or more"),
        (["recipes", "--folds", "--seeds", "1", "2", "3", "4"], "--seeds: found 4; expected one"),
    ],
)
def test_a_wrong_argument_is_status_2_and_one_line(capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        parse(words)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_a_name_all_benchmarks_run():
    assert parse([]).benchmark == parse(["--rounds", "2"]).benchmark == "all"


QUICK = ["--rounds", "1", "--size", "32", "--batch-size", "16"]


@pytest.fixture(scope="module")
def quick(few_sources):
    """The flags of a benchmark that runs on few images, which it need not draw."""
    return [*QUICK, *measure.source_flags(few_sources)]


@pytest.fixture
def in_this_process(monkeypatch, capsys):
    """Commands run here, with a small network, and so without the time of their imports."""

    def here(*words):
        module, *words = words[1:] if words[0] == "-m" else words
        start = time.perf_counter()
        if module == "-c":
            exec(words[0])
        elif module.endswith(".py"):
            try:
                run_script(importlib.import_module(module.removesuffix(".py")), *words)
            except SystemExit as stop:
                if stop.code:
                    raise
        else:
            monkeypatch.setattr(sys, "argv", [module, *map(str, words)])
            importlib.import_module(module).main()
        said = capsys.readouterr().out
        return measure.Measured(time.perf_counter() - start, cpu=1.0, peak=99.0, said=said)

    for module in (epoch, pairs, sources):
        monkeypatch.setattr(module, "measure", here)
    for name in ("evaluate", "minimal_prediction", "train", "benchmarks.speed.plain_prediction"):
        importlib.import_module(name)
    use_network(monkeypatch)


@pytest.mark.parametrize("name", ["loader", "epoch"])
def test_a_pair_is_measured_by_turns_and_its_first_is_one(name, quick, in_this_process):
    first, other = run([name, *quick, "--workers", "1"])
    assert_against(first, [other], name)


@pytest.mark.parametrize("native", [False, True])
def test_a_step_is_measured_against_the_plain_one(quick, in_this_process, monkeypatch, native):
    monkeypatch.setattr(util.device, "_native_bfloat16", lambda device: native)
    first, *others = run(["step", *QUICK])
    float32 = pick_precision("auto", pick_device("auto"), scaled=True) == torch.float32
    more = (not float32) + (pick_device("auto").type == "cuda")  # float32, compiled
    assert len(others) == 2 + more
    assert_against(first, others, "step")


def assert_against(first, others, name):
    assert first["times the first"] == 1
    for row in (first, *others):
        assert row["times the first"] == pytest.approx(row["images/s"] / first["images/s"])
        assert row["benchmark"] == name
        assert min(row["images/s"], row["peak MiB"]) > 0


def test_a_report_is_measured_against_a_forward_pass_over_its_images(quick, in_this_process):
    first, report, started = run(["report", *quick])
    assert (first["recipe"], report["recipe"]) == ("one forward pass", "evaluate.py")
    assert report["times the first"] == pytest.approx(report["images/s"] / first["images/s"])
    assert 0 < report["images/s"] < started["images/s"] < first["images/s"]


def test_prediction_is_measured_on_one_file_and_on_many(quick, in_this_process):
    rows = run(["predict", *quick, "--images", "3"])
    assert [row["benchmark"] for row in rows] == ["predict one file"] * 5 + ["predict 3 files"] * 5
    recipes = ["plain", "ours", "ONNX float32", "ONNX int8", "ONNX int4"]
    assert [row["recipe"] for row in rows] == recipes * 2
    for plain_row, *others in (rows[:5], rows[5:]):
        assert plain_row["times the first"] == 1
        for row in others:
            assert row["times the first"] == pytest.approx(row["images/s"] / plain_row["images/s"])
        whole, small = plain_row["installed MiB"], others[-1]["installed MiB"]
        assert 200 < small < 450 < whole


def test_prediction_holds_less_memory_than_the_plain_script(quick, monkeypatch):
    """As processes of their own, with the whole network."""
    monkeypatch.setattr(pairs, "measure", cache(measure.measure))
    monkeypatch.setattr(predict, "write_onnx", lambda checkpoint: {})
    args = parse(["predict", *quick])
    args.images = 1  # so that many files are the one file, measured already
    plain_row, ours = predict.run(args)[:2]
    assert ours["peak MiB"] < plain_row["peak MiB"]


@pytest.fixture(scope="module")
def two_loaders(few_sources, tmp_path_factory):
    """The plain loader and ours, of the same files, in which the left of a radiograph is marked."""
    folder = tmp_path_factory.mktemp("loaders")
    words = ("--size", 64, "--test-size", 0.1, "--val-size", 0.1, "--workers", 1)
    run_script(generate_dataset, folder / "set", *words, *measure.source_flags(few_sources))
    full = folder / "full"
    full.mkdir()
    for file in (folder / "set" / "train").iterdir():
        pixels = np.array(Image.open(file))
        pixels[:, 8:16] = 255
        Image.fromarray(pixels).save(file)
        shutil.copy(file, full)
    return trial.plain_loader(64, 8, 0, full), trial.our_loader(64, 8, 0, folder / "set")


def how_images_look(loader, epochs):
    """Of each image: its mean, its contrast, how much its left is brighter, how much is black."""
    images = []
    for number in range(epochs):
        if isinstance(loader.batch_sampler, EpochBatches):
            loader.batch_sampler.begin(number)
        images += [shown[:, 0] for shown, _ in loader]
    images = torch.cat(images).float()
    images /= images.max()
    sides = [side.mean((1, 2)) for side in images.split(32, dim=2)]
    black = (images == 0).float().mean((1, 2))
    return torch.stack([images.mean((1, 2)), images.std((1, 2)), sides[0] - sides[1], black])


def farthest(one, other):
    """The largest of the distances between what the two see, by Kolmogorov and Smirnov."""
    return max(ks_2samp(a, b).statistic for a, b in zip(one.numpy(), other.numpy(), strict=True))


def test_both_loaders_vary_images_alike(two_loaders):
    torch.manual_seed(0)
    plain_images, ours = (how_images_look(loader, 20) for loader in two_loaders)
    assert plain_images.shape == ours.shape
    assert farthest(plain_images, ours) < 0.08


@pytest.mark.parametrize(
    "other", [{"jitter": 0}, {"flip": 0}, {"rotation": 0, "shift": 0, "scale": (1, 1)}]
)
def test_loaders_that_vary_otherwise_differ_by_more(two_loaders, monkeypatch, other):
    torch.manual_seed(0)
    plain_images, images = how_images_look(two_loaders[0], 20), two_loaders[1].dataset
    monkeypatch.setattr(images, "augmentation", replace(images.augmentation, **other))
    assert farthest(plain_images, how_images_look(two_loaders[1], 20)) > 0.12


@pytest.mark.parametrize("words", [["-h"], ["generate", "-h"], ["growth", "-h"]])
def test_help_answers_before_the_heavy_imports(words):
    start = time.perf_counter()
    command = [sys.executable, "-X", "importtime", "-m", "benchmarks", *words]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert time.perf_counter() - start < 5
    assert "usage: benchmarks" in done.stdout
    for heavy in ("pandas", "torch", "psutil"):
        assert f"| {heavy}\n" not in done.stderr.replace("  ", "")


def fake_training(tmp_path, trained, scores):
    """In place of a command: its run's history, and what evaluation says of it."""

    def fake(*words, interval):
        words = [str(word) for word in words]
        if words[0] == "evaluate.py":
            out = Path(words[words.index("--out") + 1])
            out.mkdir()
            seed = int(out.parent.name[-1])
            said = {"macro_f1": {"value": scores[seed]}, "macro_auroc": {"value": 0.9}}
            (out / "metrics.json").write_text(json.dumps(said))
            return
        trained.append(words)
        if "--name" in words:
            folder = tmp_path / words[words.index("--name") + 1]
        else:
            folder = Path(words[4])
        folder.mkdir(parents=True, exist_ok=True)
        rows = {"val_macro_f1": [0.5, 0.8], "val_macro_auroc": [0.7, 0.9]}
        rows |= {"val_loss": [0.9, 0.7]} if words[0] == "train.py" else {}
        pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)

    return fake


@pytest.fixture
def study(dataset, tmp_path, monkeypatch):
    """Runs a study, whose trainings are faked, that leaves all it makes below tmp_path."""

    def study(*words, of=dataset):
        folders = ["--dataset", str(of), "--ckpts-dir", str(tmp_path)]
        folders += ["--results", str(tmp_path / "results.csv")]
        return run(["recipes", "--epochs", "2", *folders, "--recipes", *words])

    study.trained = []
    fake = fake_training(tmp_path, study.trained, {1: 0.6, 2: 0.8, 3: 0.7})
    monkeypatch.setattr(recipes, "measure", fake)
    return study


def test_a_recipe_has_the_mean_and_deviation_over_its_seeds(study):
    plain, ours = study("plain", "ours", "--seeds", "1", "2")
    assert (plain["recipe"], ours["recipe"], ours["runs"]) == ("plain", "ours", 2)
    assert (ours["F1"], ours["loss"], ours["test AUROC"]) == pytest.approx((0.65, 0.8, 0.9))
    assert ours["AUROC"] == plain["AUROC"] == pytest.approx(0.8)
    assert math.isnan(plain["loss"])  # a rival has none
    assert (ours["test F1"], ours["+- test F1"]) == pytest.approx((0.7, 0.02**0.5))
    assert [call[0] for call in study.trained] == ["-m", "-m", "train.py", "train.py"]


def test_a_recipe_that_several_machines_ran_names_them_all(study, monkeypatch):
    monkeypatch.setattr(recipes, "commit", lambda: "abc")
    for name, seed in (("a machine", "1"), ("another", "2")):
        monkeypatch.setattr(recipes, "machine", lambda device, name=name: name)
        (row,) = study("float32", "--seeds", "1", seed)
    assert row["on"] == "a machine, float32, abc; another, float32, abc"


@pytest.mark.parametrize(("seen", "again"), [(None, 1), ({"targets": []}, 0)])
def test_a_run_without_its_last_validation_goes_on(study, dataset, tmp_path, seen, again):
    """Its history is whole."""
    settings_of_run(tmp_path / "ours-1", random_seed=1)
    recipes.measure("train.py", "--name", "ours-1", interval=0)
    study.trained.clear()
    form = InputFormat((96, 96), **PLAIN)
    about = {"input": asdict(form), "fingerprint": read_about(dataset)["fingerprint"]}
    content = {"state_dict": {}, "mapping": {}, "validation": seen, **about}
    save_checkpoint(tmp_path / "ours-1" / "best.pth", content)
    study("ours", "--seeds", "1")
    assert len(study.trained) == again


def test_a_recipe_that_was_run_is_not_run_again_and_one_that_was_stopped_goes_on(study, tmp_path):
    study("ours", "--seeds", "1")
    settings_of_run(tmp_path / "ours-2", random_seed=2)
    study("ours", "--seeds", "1", "2")
    assert ["--resume" in call for call in study.trained] == [False, True]


def test_runs_are_made_at_the_same_time_as_many_as_asked(study, tmp_path, monkeypatch):
    together, fake = Barrier(3, timeout=60), recipes.measure

    def waiting(*words, interval):
        if words[0] != "evaluate.py":
            together.wait()
        fake(*words, interval=interval)

    monkeypatch.setattr(recipes, "measure", waiting)
    [row] = study("ours", "--jobs", "3")
    assert row["test F1"] == pytest.approx(0.7)
    assert sorted(pd.read_csv(tmp_path / "results.csv")["seed"]) == [1, 2, 3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_that_fails_ends_the_study_and_what_had_ended_is_kept(
    study, tmp_path, monkeypatch, jobs
):
    begun, fake, ended = [], recipes.measure, Event()

    def failing(*words, interval):
        begun.append(words[0])
        if "plain-1" not in str(words):
            ended.wait(60)
            raise ChildProcessError("no such luck")
        fake(*words, interval=interval)
        if words[0] == "evaluate.py":
            ended.set()

    monkeypatch.setattr(recipes, "measure", failing)
    with pytest.raises(ChildProcessError, match="no such luck"):
        study("plain", "ours", "--seeds", *"12345", "--jobs", str(jobs))
    assert len(begun) <= 2 + jobs  # plain-1, its evaluation, plain-2, and what began beside it
    assert set(pd.read_csv(tmp_path / "results.csv")["seed"]) == {1}


def test_a_line_says_what_the_run_was_begun_with(study, tmp_path, monkeypatch):
    def killed(*words, interval):
        raise ChildProcessError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(recipes, "commit", lambda: "then")
        patch.setattr(recipes, "measure", killed)
        with pytest.raises(ChildProcessError, match="killed"):
            study("float32", "--seeds", "1")
    monkeypatch.setattr(recipes, "commit", lambda: "now")
    study("float32", "--seeds", "1")
    line = pd.read_csv(tmp_path / "results.csv").iloc[0]
    assert (line["commit"], line["precision"]) == ("then", "float32")
    assert line["torch"] == torch.__version__.partition("+")[0]
    assert line["machine"] == machine(str(pick_device("auto")))


@pytest.mark.parametrize("other", [{"fingerprint": "of another"}, {"size": (64, 96)}])
def test_a_run_of_another_data_set_or_size_is_not_of_the_study(study, dataset, tmp_path, other):
    (tmp_path / "plain-1").mkdir()
    fingerprint = read_about(dataset)["fingerprint"]
    about = {"fingerprint": fingerprint, "size": (96, 96)} | other
    form = InputFormat(about["size"], **PLAIN)
    content = {"input": asdict(form), "mapping": {}, "fingerprint": about["fingerprint"]}
    save_checkpoint(tmp_path / "plain-1" / "best.pth", {"state_dict": {}, "epoch": 1, **content})
    with pytest.raises(ValueError, match=r"plain-1/best.pth: of data .*Move it away"):
        study("plain", "--seeds", "1")


def test_the_published_figures_are_those_of_the_table():
    pages = ("README.md", "benchmarks/RESULTS.md")
    published = "".join((ROOT / page).read_text(encoding="utf-8") for page in pages)
    table = pd.read_csv(ROOT / "benchmarks" / "recipes" / "recipes.csv")
    on_test = table[table["test F1"].notna()]
    assert {"original", "plain"} <= set(on_test["recipe"])
    for recipe, runs in on_test.groupby("recipe"):
        figures = [
            f"{runs[c].mean():.3f} ± {runs[c].std():.3f}" for c in ledger.SCORES if c != "loss"
        ]
        assert " | ".join(figures) in published, recipe
    for _, runs in table[(table["size"] == 96) & table["test F1"].isna()].groupby("recipe"):
        two = runs[runs["seed"] < 3]
        figures = [f"{two[c].mean():.3f} ± {two[c].std():.3f}" for c in ("F1", "AUROC")]
        assert f"folds 1 and 2 | {' | '.join(figures)} |" in published
    for recipe, runs in table[table["size"] == 64].groupby("recipe"):
        figures = [f"{runs[c].mean():.3f} ± {runs[c].std():.3f}" for c in ("F1", "AUROC")]
        one = [f"{runs[c].iloc[0]:.3f}" for c in ("F1", "AUROC")]
        row = " | ".join([*(figures if len(runs) > 1 else ["", ""]), ", ".join(one)])
        assert row.replace("|  |", "| |").strip() in published, recipe


@pytest.mark.parametrize("recipe", ["plain", "ours"])
def test_a_run_in_the_table_is_made_on_no_machine_again_and_another_is(
    study, dataset, tmp_path, monkeypatch, recipe
):
    rows = study(recipe, "--seeds", "1")
    shutil.rmtree(tmp_path / f"{recipe}-1")
    assert study(recipe, "--seeds", "1") == [pytest.approx(row, nan_ok=True) for row in rows]
    assert len(study.trained) == 1
    study(recipe, "--seeds", "1", "2")
    assert len(study.trained) == 2
    line = pd.read_csv(tmp_path / "results.csv", dtype=str).iloc[0]
    assert line["data"] == read_about(dataset)["fingerprint"][:16]
    assert line[list(ledger.HOW)].notna().all()
    shutil.rmtree(tmp_path / f"{recipe}-2")
    monkeypatch.setitem(rivals.RECIPES, "plain", replace(rivals.PLAIN_GOOD, smoothing=0.0))
    monkeypatch.setattr(variants, "OURS", (*variants.OURS, "--weight-decay", 1))
    study(recipe, "--seeds", "2")
    assert len(study.trained) == 3  # by other settings


def test_folds_validate_on_each_image_once_and_keep_patients_and_copies_together(
    study, dataset, tmp_path
):
    dataset = shutil.copytree(dataset, tmp_path / "set")
    everything = pd.concat([read_split(dataset, split) for split in ("train", "val")])
    images = everything[["patient_id", "original"]].to_dict("records")
    copies = [{"kind": "near", "images": [images[k], images[-1 - k]]} for k in range(8)]
    copies.append({"kind": "exact", "images": [images[0], images[0]]})
    about = read_about(dataset) | {"duplicates": copies}
    (dataset / "dataset.json").write_text(json.dumps(about))
    (row,) = study("plain", "--folds", "--seeds", "7", "8", "9", of=dataset)
    assert row["runs"] == 3
    assert "test F1" not in row
    assert [Path(words[4]).name for words in study.trained] == ["plain-7", "plain-8", "plain-9"]
    folds = [Path(words[3]) for words in study.trained]
    seen = [{split: read_split(fold, split) for split in ("train", "val")} for fold in folds]
    held_out = pd.concat([fold["val"] for fold in seen])
    assert sorted(held_out["filename"]) == sorted(everything["filename"])
    for fold in seen:
        assert len(fold["train"]) + len(fold["val"]) == len(everything)
        assert 0.28 < len(fold["val"]) / len(everything) < 0.39
        assert not set(fold["train"]["patient_id"]) & set(fold["val"]["patient_id"])
        for group in copies:
            mine = {image["original"] for image in group["images"]}
            sides = [bool(mine & set(fold[split]["original"])) for split in ("train", "val")]
            assert sum(sides) < 2
    assert len({read_about(fold)["fingerprint"] for fold in [dataset, *folds]}) == 4


def settings_of_run(folder, **other):
    """What train.py leaves at the start of `ours` over two epochs, but for `other` settings."""
    ours = {
        "backbone_weights": None, "optimizer": "muon", "lr": 3e-3, "batch_size": 32, "width": 96,
        "height": 96, "test_time_augmentation": True, "warmup_epochs": 4.0, "epochs": 2,
        "precision": "bfloat16",
    }  # fmt: skip
    defaults = {name: getattr(config, name) for name in config.__annotations__}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(defaults | ours | other))


@pytest.mark.parametrize("other", [{"random_seed": 1}, {"average_decay": 0.9}, {"epochs": 3}])
def test_a_run_of_other_settings_is_not_of_the_recipe(study, tmp_path, other):
    settings_of_run(tmp_path / "ours-2", **{"random_seed": 2} | other)
    name, value = next(iter(other.items()))
    with pytest.raises(ValueError, match=f"ours-2/config.json: {name} is {value}; expected "):
        study("ours", "--seeds", "2")


@pytest.mark.parametrize("recipe", ["original", "plain", "ours", "one-view"])
def test_a_recipe_is_that_of_its_lines_in_the_table_of_results(recipe):
    """A setting that config.py gets later does not make it another one."""
    table = pd.read_csv(ROOT / "benchmarks/recipes/recipes.csv", dtype=str)
    assert {variants.digest(recipe)} == set(table["settings"][table["recipe"] == recipe])


def test_an_unknown_recipe_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="--recipes: found best; expected some of original, plain"):
        run(["recipes", "--recipes", "ours", "best", "--ckpts-dir", str(tmp_path)])


def test_the_help_names_every_recipe(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "recipes", "-h"])
    with pytest.raises(SystemExit):
        benchmarks.arguments()
    said = "".join(capsys.readouterr().out.split())  # lines break at hyphens, too
    assert not [name for name in (*variants.RIVALS, *variants.VARIANTS) if name not in said]


def test_every_rival_is_one_of_the_recipes():
    assert set(rivals.RECIPES) == set(variants.RIVALS)


FAST = replace(rivals.RECIPES["plain"], optimizer=partial(torch.optim.AdamW, lr=0.03))


def test_a_rival_learns_and_leaves_a_checkpoint_that_evaluation_reads(easy, tmp_path, monkeypatch):
    use_network(monkeypatch)
    rivals.train(FAST, easy, tmp_path, seed=1, size=32, epochs=12)
    history = pd.read_csv(tmp_path / "history.csv")
    content = load_checkpoint(tmp_path / "best.pth")
    assert content["epoch"] == 1 + history["val_macro_f1"].idxmax()
    check_fit(TinyNext(3), content["state_dict"], "best.pth")
    assert InputFormat.of(content["input"]).size == (32, 32)
    assert history["train_loss"].iloc[-1] < 0.8 * history["train_loss"].iloc[0]
    assert history["val_macro_f1"].max() > 0.9


def test_a_rival_has_the_temperature_that_train_would_give_it(dataset, tmp_path, monkeypatch):
    use_network(monkeypatch)
    rivals.train(FAST, dataset, tmp_path, seed=1, size=32, epochs=3)
    content = load_checkpoint(tmp_path / "best.pth")
    logits, targets = (content["validation"][name] for name in ("logits", "targets"))
    assert content["prior"] == pytest.approx([1 / 3] * 3)  # its loss has the weights of counts
    wanted = fit_temperature(logits.numpy(), targets, 1 / np.bincount(targets))
    assert content["temperature"] == pytest.approx(wanted, rel=1e-3)
    assert abs(wanted - 1) > 0.01


def test_a_rival_that_was_stopped_goes_on_as_if_it_had_not_been(dataset, tmp_path, monkeypatch):
    use_network(monkeypatch)
    recipe = rivals.RECIPES["original"]
    rivals.train(recipe, dataset, tmp_path / "whole", seed=1, size=32, epochs=4)
    write, saved = rivals.atomic_path, []

    @contextmanager
    def power_cut(path):
        with write(path) as temporary:
            yield temporary
        saved.append(path.name)
        if saved.count("rival_state.pth") == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rivals, "atomic_path", power_cut)
        with pytest.raises(KeyboardInterrupt):
            rivals.train(recipe, dataset, tmp_path / "cut", seed=1, size=32, epochs=4)
    rivals.train(recipe, dataset, tmp_path / "cut", seed=1, size=32, epochs=4)
    whole, cut = ((tmp_path / name / "history.csv").read_text() for name in ("whole", "cut"))
    assert whole == cut

"""Trains COVIDNext50 on a dataset folder. Validation chooses best.pth; the test split is not read.

python3 train.py --dataset dataset --name my_run    settings: config.py, each also a flag
python3 train.py --name my_run --resume             goes on where the run was stopped
torchrun --standalone --nproc_per_node=8 train.py ...    the same on many devices
python3 train.py --name my_run --folds 5            five networks, one for each part of the patients

The run's folder experiments/NAME/ gets best.pth, last.pth, config.json, history.csv, curves.png and
TensorBoard events. With --folds, fold-1/ ... get these, and the run's folder out_of_fold.csv, in
which each image of train and val is predicted by the network that never saw its patient, nor was
chosen by it: a tenth of a fold's other patients is its validation.
"""

import argparse
import logging
import math
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from util.flags import Parser, add_config, load_config
from util.script import draw_without_display, run, while_importing
from util.training.settings import check_settings

log = logging.getLogger(__name__)
Stop = Callable[[], bool]  # whether the run was asked to stop
BATCHNORM_IMAGES = 8  # of a step on a device; with fewer, BatchNorm statistics are doubtful


def arguments() -> argparse.Namespace:
    parser = Parser(prog="train.py", description=__doc__)
    add_config(parser, load_config(parser.prog))
    cfg = parser.parse_args()
    check_settings(parser, cfg)
    return cfg


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing("train.py")
    draw_without_display()

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from data.augmentation import Augmentation
from data.dataset import RadiographDataset, load_splits
from data.dataset_folder import preparation, read_about
from data.left_out import learnable
from data.loader import make_loader
from data.sampling import EpochBatches, image_chances, in_order
from data.split.folds import parts_of_training
from data.transforms import InputFormat
from model.covidnext50 import COVIDNext50
from model.cross_validation import predict_held_out, sum_up
from model.inference import predict_logits
from model.last_look import last_look
from model.starting_network import Start, check_unseen, start_network, teachers_trainings
from model.weights import check_fit
from util.checkpoint import load_checkpoint
from util.class_names import class_names
from util.device import (
    autocast,
    inference_dtype,
    pick_device,
    precision_name,
    torch_errors_explained,
)
from util.distributed import Ranks, ranks_of_run, started_ranks
from util.memory import keep_freed_memory
from util.metrics.scores import confusion_matrix, macro_auroc, summary
from util.metrics.within_source import within_source_auroc
from util.script import stop_asked, until, until_stopped
from util.training.choice import measurable
from util.training.class_weights import class_prior, class_weights
from util.training.distillation import soft_targets, teachers_probabilities
from util.training.early_stopping import stalled
from util.training.folds import numbers, weights_of_fold
from util.training.loss import batch_loss, stop_heard
from util.training.optimizer import make_optimizer
from util.training.progress import Progress
from util.training.resume import (
    check_same_dataset,
    check_shared,
    runs_of_folds,
    settings_differ,
    settings_of_run,
    training_dtype,
)
from util.training.run_folder import RunFolder
from util.training.schedule import cosine_schedule, plateau_schedule
from util.training.state import Training
from util.training.step import Descent
from util.training.tensorboard import errors_name_folder
from util.training.weight_average import RunningAverage
from util.versions import commit, versions
from util.words import SCORES


def main(args: argparse.Namespace) -> None:
    """Only this sees the command line; what it calls gets plain values."""
    asked = {name: value for name, value in vars(args).items() if name != "given"}
    if folds := runs_of_folds(asked, args.given):
        train_folds(folds, args.given, Path(args.ckpts_dir, args.name))
        return
    with ranks_of_run(args.device) as ranks:
        if not ranks.first:
            logging.getLogger().setLevel(logging.ERROR)
        train_in_folder(asked, args.given, ranks)


def train_folds(folds: list[dict[str, Any]], given: set[str], run: Path) -> None:
    """A run for each fold, one after the other. Of several processes each trains some of them
    alone, which gives the same weights. Who ends the last fold writes what is of all of them.

    folds: the settings of each run, in a folder of its own in that of the `run`.
    """
    ranks, dataset = started_ranks(folds[0]["device"]), folds[0]["dataset"]
    if begun := next(run.glob("fold-*/last.pth"), None):
        fingerprint = read_about(Path(dataset))["fingerprint"]
        check_same_dataset(dataset, fingerprint, load_checkpoint(begun))
    mine = folds[ranks.rank :: ranks.size]
    bar = partial(tqdm, leave=False, disable=ranks.no_bar)
    for asked in tqdm(mine, run.name, unit="fold", disable=ranks.no_bar):
        train_in_folder(asked, given, ranks.alone)
        predict_held_out(Path(asked["ckpts_dir"], asked["name"]), asked["device"], bar)
    sum_up(run, numbers(folds[0]["fold"])[1])


def train_in_folder(asked: dict[str, Any], given: set[str], ranks: Ranks) -> None:
    """As `train`, in the folder of the run, where no other process then writes."""
    keep_freed_memory()
    folder = RunFolder(Path(asked["ckpts_dir"], asked["name"]), writes=ranks.first)
    errors = errors_name_folder(folder.path)
    with stop_asked() as stop, torch_errors_explained(), folder.locked(), errors:
        train(asked, given, folder, ranks, stop)


def train(
    asked: dict[str, Any], given: set[str], folder: RunFolder, ranks: Ranks, stop: Stop
) -> None:
    """A run. asked: its settings, see config.py; given: which of them the command line named."""
    # Settings: as asked, or those of the run that goes on
    saved = folder.open(asked["resume"])  # the content of last.pth
    cfg = settings_of_run(asked, given, saved and saved["config"], ranks.size)
    folder.save_minutes = cfg.save_minutes
    device = pick_device(cfg.device)
    check_shared(folder.path, ranks.collect(saved["step"] if saved else -1, device))
    folder.remove_half_written()
    auto = saved["auto_precision"] if saved else asked["precision"] == "auto"
    dtype = training_dtype(cfg.precision, device, auto)
    cfg.precision = precision_name(dtype)  # the run keeps what auto was
    about = read_about(Path(cfg.dataset))
    check_same_dataset(cfg.dataset, about["fingerprint"], saved)
    if saved and folder.has_ended(vars(cfg)):
        return
    torch.manual_seed(cfg.random_seed)  # every other generator has a seed of its own
    bar = partial(with_bar, stop=stop, disable=ranks.no_bar)

    # Data, model, optimizer
    mapping = learnable(Path(cfg.dataset), cfg.mapping, cfg.leave_out)
    classes = class_names(mapping)
    if cfg.distil:  # before the long work, if it fails
        fingerprint = about["fingerprint"]
        said = teachers_probabilities(Path(cfg.distil), classes, fingerprint, cfg.leave_out)
    with ranks.one_by_one():  # the first rank downloads and decodes for all
        model, form, trainings, taught_by = build_model(cfg, mapping, about, saved)
        model = place_model(model, cfg, device, ranks)
        train_set, val_set = open_splits(cfg, mapping, form, bar)
    chances = image_chances(train_set.table, train_set.targets, cfg.sampling, cfg.patient_cap)
    weights = class_weights(cfg.loss_weights, train_set.targets, len(classes), chances)
    if cfg.distil:
        own = said.loc[train_set.table["filename"]].to_numpy()
        train_set.learned = soft_targets(own, train_set.targets, weights, cfg.label_smoothing)
    batches, *loaders = make_loaders(train_set, val_set, chances, cfg, ranks, device)
    average = None
    if cfg.average_decay or cfg.keep_weights:
        average = RunningAverage(model, cfg.average_decay or 0, cfg.keep_weights)
    descent = build_descent(model, cfg, batches.batches, dtype)
    costs = torch.tensor(weights, dtype=torch.float32, device=device)
    loss_of = partial(batch_loss, weights=costs, smoothing=cfg.label_smoothing)
    choose = measurable(cfg.choose, val_set.targets, val_set.table, len(classes))
    progress = Progress.start(device, choose)
    prior = class_prior(weights, train_set.targets, chances)
    facts = facts_of_run(cfg, mapping, form, prior, about["fingerprint"], choose)
    shown = train_set.table["source"]
    if chances is not None:
        shown = shown[chances > 0]
    facts |= {"sources": shown.value_counts().to_dict()}
    facts |= {"started_from": trainings, "taught_by": taught_by}
    training = Training(
        model, average, descent, loss_of, dtype, form.normalise, progress, facts, auto
    )

    # Resume
    if saved:
        check_fit(model, saved["weights"], str(folder.last))
        training.load_state_dict(saved)
    changed = saved is None or settings_differ(vars(cfg), saved["config"])
    saved = None  # its tensors take memory
    if changed:  # so that a run killed before its next save goes on with these settings
        folder.save_last(training)
    batches.begin(cfg.epochs - 1)  # when the augmentation is at its strongest
    folder.begin(vars(cfg), progress, classes, train_set.__getitems__(next(iter(batches)))[0])
    sizes = f"{len(train_set)} training and {len(val_set)} validation images"
    where = f"on {ranks.size} x {device}" if ranks.size > 1 else f"on {device}"
    log.info("%s: %s, %s in %s", folder.path, sizes, where, cfg.precision)

    # Epochs: train, validate, save
    for epoch in range(progress.epoch, cfg.epochs):
        if stalled(progress, cfg.early_stopping_patience):
            log.info("No better %s for %d epochs", SCORES[choose], cfg.early_stopping_patience)
            break
        join_ranks(training, epoch, cfg, ranks)
        batches.begin(epoch, progress.batches)
        title, unit = f"Epoch {epoch + 1}/{cfg.epochs}", "batch"
        batched = tqdm(loaders[0], title, unit=unit, leave=False, disable=ranks.no_bar)
        rate = train_epoch(training, batched, cfg.log_steps, folder, ranks, stop)
        validated = None if rate is None else validate(training, loaders[1], ranks, stop)
        if validated is None:
            leave(training, folder, ranks)
        matrix, metrics = validated
        progress.see(metrics["loss"])
        training.check_weights()
        row = {"lr": descent.rate, "images_per_second": rate * len(train_set) / batches.batches}
        is_best = progress.end_epoch(metrics, matrix.tolist(), **row)
        descent.end_epoch(progress.scores[-1])
        if is_best:  # before last.pth: a run killed between them does this epoch again, alike
            folder.save_best(training)
        over = epoch + 1 == cfg.epochs or stalled(progress, cfg.early_stopping_patience)
        if over or folder.due():
            folder.save_last(training)
        folder.show_epoch(progress, classes)
        training.check_collapse(cfg.collapse_patience, classes)

    # Last look
    folder.show_end()
    if ranks.first:
        last_look(
            folder.best, vars(cfg), device, inference_dtype(dtype), partial(bar, unit="batch")
        )
    after = "" if cfg.fold else f". Next: python3 evaluate.py {shlex.quote(str(folder.best))}"
    log.info("Best validation %s: %.3f%s", SCORES[choose], progress.best, after)


def train_epoch(
    training: Training, batches: tqdm, log_steps: int, folder: RunFolder, ranks: Ranks, stop: Stop
) -> float | None:
    """The steps that are left of an epoch: batches per second, nan if none was left.

    None if a rank was asked to stop.
    """
    device, progress = training.device, training.progress
    arithmetic = autocast(training.dtype, device)
    began, first = time.perf_counter(), progress.batches
    training.model.train()
    for pixels, targets in batches:  # (N, 1, H, W) uint8, (N,) int64
        images = training.normalise(pixels.to(device, non_blocking=True))  # (N, 3, H, W)
        targets = targets.to(device, non_blocking=True)
        with arithmetic:
            logits = training.net(images)
        loss = training.loss_of(logits, targets, ranks=ranks, stop=stop())
        training.step(loss)
        if progress.step % log_steps == 0:
            training.check()
            batches.set_postfix(loss=f"{loss.mean.item():.3f}")
            folder.show_step(loss.mean, progress.step)
        if stop_heard(loss, progress.step, ranks, stop):
            return None
        if folder.due():
            folder.save_last(training)
    training.check()  # waits for the device
    steps = progress.batches - first
    return steps / (time.perf_counter() - began) if steps else math.nan


def validate(
    training: Training, loader: DataLoader, ranks: Ranks, stop: Stop
) -> tuple[np.ndarray, dict[str, float]] | None:
    """The confusion matrix and the metrics over all validation images, the same on every rank.

    None if a rank was asked to stop.
    """
    device = training.device
    arithmetic = autocast(inference_dtype(training.dtype), device)
    ranks.copy_from_first(training.kept.buffers())  # each rank has its own BatchNorm statistics
    pixels = until((pixels for pixels, _ in loader), stop)
    logits = predict_logits(training.kept, pixels, device, training.normalise, autocast=arithmetic)
    if ranks.any(stop(), device):
        return None
    logits = ranks.gather(logits, len(loader.dataset))
    targets = torch.tensor(loader.dataset.targets, device=device)
    loss = training.loss_of(logits, targets, ranks=Ranks()).mean
    probabilities, truth = logits.softmax(1).cpu().numpy(), targets.cpu().numpy()
    matrix = confusion_matrix(truth, logits.argmax(1).cpu().numpy(), logits.shape[1])
    scores = summary(matrix) | {"macro_auroc": macro_auroc(probabilities, truth)}
    sources = loader.dataset.table["source"].to_numpy()
    scores["within_source_auroc"] = within_source_auroc(probabilities, truth, sources)
    return matrix, {"loss": loss.item(), **scores, "classes_named": int(matrix.any(0).sum())}


def open_splits(
    cfg: SimpleNamespace, mapping: dict[str, int], form: InputFormat, bar: Callable
) -> list[RadiographDataset]:
    """The training images, augmented, and the validation images. bar: of `with_bar`."""
    augmentation = Augmentation(
        cfg.flip, cfg.rotation, cfg.shift, cfg.scale, cfg.jitter, cfg.appearance,
        warmup=cfg.augmentation_warmup_epochs, size_warmup=cfg.size_warmup_epochs,
    )  # fmt: skip
    if cfg.size_warmup_epochs > cfg.epochs - 1:
        log.warning("size_warmup_epochs: no epoch is left in which images have their whole size")
    parts = parts_of_training(Path(cfg.dataset), cfg.leave_out, cfg.fold)
    return load_splits(
        cfg.dataset, mapping, form, augmentation, partial(bar, unit=" images"), parts
    )


def make_loaders(
    train_set: RadiographDataset,
    val_set: RadiographDataset,
    chances: np.ndarray | None,
    cfg: SimpleNamespace,
    ranks: Ranks,
    device: torch.device,
) -> tuple[EpochBatches, DataLoader, DataLoader]:
    """The batches of a training epoch, what reads them, and what reads the validation images."""
    part, pin = (ranks.rank, ranks.size), device.type == "cuda"
    batches = EpochBatches(len(train_set), cfg.batch_size, chances, cfg.random_seed, *part)
    smallest = len(train_set) // batches.batches // ranks.size
    if smallest < 2 and max(cfg.width, cfg.height) <= 32 and not cfg.sync_batchnorm:
        text = "batch_size: found a batch with one image on a device, which at this size has no"
        raise ValueError(f"{text} variance for BatchNorm; raise it, or --width and --height")
    in_turn = in_order(len(val_set), cfg.batch_size, *part)
    train_loader = make_loader(train_set, batches, cfg.n_threads, pin)
    return batches, train_loader, make_loader(val_set, in_turn, 0, pin)


def build_model(
    cfg: SimpleNamespace,
    mapping: dict[str, int],
    about: dict[str, Any],
    saved: dict[str, Any] | None,
) -> Start:
    """The network and its input. A run that goes on has weights, and needs no file for them.

    about: dataset.json.
    """
    if saved:
        network = COVIDNext50(len(class_names(mapping)))
        past = saved["started_from"], saved["taught_by"]
        return Start(network, InputFormat.of(saved["input"]), *past)
    weights, size = weights_of_fold(cfg.weights, cfg.fold), (cfg.height, cfg.width)
    given = mapping, weights, cfg.backbone_weights, size, preparation(about), cfg.leave_out
    start = start_network(*given, keep=cfg.keep_weights > 0)
    check_unseen(weights, start.trainings or (), about["fingerprint"], cfg.fold)
    if cfg.distil:
        start = start._replace(taught_by=teachers_trainings(cfg.distil, about["fingerprint"]))
    return start


def build_descent(
    model: nn.Module, cfg: SimpleNamespace, batches: int, dtype: torch.dtype
) -> Descent:
    """batches: of an epoch."""
    optimizer = make_optimizer(model, cfg.optimizer, cfg.lr, cfg.weight_decay, dtype)
    if cfg.schedule == "cosine":
        warmup = int(cfg.warmup_epochs * batches)
        schedule = cosine_schedule(optimizer, cfg.epochs * batches, warmup)
    else:
        schedule = plateau_schedule(optimizer, cfg.lr_reduce_factor, cfg.lr_reduce_patience)
    return Descent(optimizer, schedule, cfg.clip_norm, scaled=dtype == torch.float16)


def place_model(
    model: COVIDNext50, cfg: SimpleNamespace, device: torch.device, ranks: Ranks
) -> COVIDNext50:
    """The model on the device, with the BatchNorm that was asked for, frozen where asked."""
    if cfg.sync_batchnorm:
        if device.type != "cuda":
            raise ValueError(f"--sync-batchnorm: found {device}; expected CUDA. Leave it out")
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    elif ranks.size > 1 and cfg.batch_size < BATCHNORM_IMAGES * ranks.size:
        text = "batch_size: %d images on %d devices are few for the BatchNorm of each; raise it, or"
        log.warning(f"{text} give --sync-batchnorm on GPUs", cfg.batch_size, ranks.size)
    model.freeze(cfg.freeze or [])
    return model.to(device, memory_format=torch.channels_last)


def facts_of_run(
    cfg: SimpleNamespace,
    mapping: dict[str, int],
    form: InputFormat,
    prior: np.ndarray,
    fingerprint: str,
    choose: str,
) -> dict[str, Any]:
    """What every checkpoint of the run says, but what it learned from; see `save_checkpoint`."""
    return {
        "mapping": mapping,
        "input": asdict(form),
        "config": dict(vars(cfg)),
        "chosen_by": choose,
        "prior": prior.tolist(),
        "temperature": 1.0,
        "test_time_augmentation": cfg.test_time_augmentation,
        "fingerprint": fingerprint,
        "versions": {"commit": commit() or "unknown", **versions()},
    }


def join_ranks(training: Training, epoch: int, cfg: SimpleNamespace, ranks: Ranks) -> None:
    """Makes `training.net` before the first epoch of a process, and again when blocks thaw."""
    if cfg.thaw_epoch is not None and epoch >= cfg.thaw_epoch:
        training.model.thaw()
    if training.net is None or epoch == cfg.thaw_epoch:
        sample = torch.zeros(1, 3, cfg.height, cfg.width, device=training.device)
        net = ranks.data_parallel(training.model, sample)
        training.net = torch.compile(net) if cfg.compile else net


def leave(training: Training, folder: RunFolder, ranks: Ranks) -> NoReturn:
    """Ends a run that was asked to stop."""
    folder.save_last(training)
    ranks.any(True, training.device)  # torchrun ends all ranks when the first one ends: wait
    progress = training.progress
    log.info("Stopped at step %d; %s. --resume goes on", progress.step, progress.best_so_far())
    raise KeyboardInterrupt


def with_bar(items: Iterable, title: str, unit: str, stop: Stop, disable: bool | None) -> Iterator:
    """The items under a progress bar; KeyboardInterrupt if the run is asked to stop."""
    return until_stopped(tqdm(items, title, unit=unit, leave=False, disable=disable), stop)


if __name__ == "__main__":
    run(lambda: main(args), "train.py")

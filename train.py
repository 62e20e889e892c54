"""Trains COVIDNext50 on a dataset folder. Validation chooses best.pth; the test split is not read.

python3 train.py --dataset dataset --name my_run    settings: config.py, each also a flag
python3 train.py --name my_run --resume             goes on where the run was stopped
torchrun --standalone --nproc_per_node=8 train.py ...    the same on many devices

The run's folder experiments/NAME/ gets best.pth, last.pth, config.json, history.csv, curves.png and
TensorBoard events.
"""

import argparse
import logging
import math
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import config
from util.flags import Parser, add_config
from util.script import quit_on_ctrl_c, run
from util.training.settings import check_settings

log = logging.getLogger(__name__)
ENOUGH = 1000  # images of a split at most that the last look is taken of, evenly through it
FEW = 8  # images of a step on a device, below which its BatchNorm is told to be doubtful
HEAR = 10  # steps: so rarely GPUs ask each other whether to stop, as asking waits for the device


def arguments() -> argparse.Namespace:
    parser = Parser(prog="train.py", description=__doc__)
    add_config(parser, config)
    cfg = parser.parse_args()
    check_settings(parser, cfg)
    return cfg


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    quit_on_ctrl_c("train.py")

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from data.augmentation import Augmentation
from data.dataset import load_splits, read_some
from data.dataset_folder import preparation, read_about
from data.images.preparation import Preparation
from data.loader import make_loader
from data.sampling import EpochBatches, class_shares, in_order, plan_epochs
from data.transforms import IMAGENET, PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.fuse_batchnorm import ready
from model.gate import Gate
from model.inference import Examined, examine, predict_logits
from model.weights import load_network, load_strictly, trunk_state
from util.checkpoint import load_checkpoint, save_checkpoint
from util.device import autocast, explained, pick_device, precision_name, unscaled
from util.distributed import Ranks, ranks_of_run
from util.files import locked_folder, write_json
from util.mapping import class_names
from util.memory import keep_freed_memory
from util.metrics.calibration import fit_temperature
from util.metrics.scores import confusion_matrix, macro_auroc, summary
from util.plots.training import draw_confusion_matrix
from util.random_state import rng_state, set_rng_state
from util.script import stop_asked, until_stopped
from util.training.history import (
    collapsed,
    events_in,
    open_history,
    show_end,
    show_epoch,
    show_start,
    stalled,
)
from util.training.loss import Loss, Watch, batch_loss
from util.training.optimizer import (
    Descent,
    RunningAverage,
    cosine_schedule,
    make_optimizer,
    plateau_schedule,
)
from util.training.run_folder import (
    Progress,
    check_shared,
    differ,
    open_run,
    settle,
    settle_precision,
    sweep,
)
from util.versions import versions


def main(args: argparse.Namespace) -> None:
    with ranks_of_run(args.device) as ranks, stop_asked() as stop, explained():
        if not ranks.first:
            logging.getLogger().setLevel(logging.ERROR)
        keep_freed_memory()
        folder = Path(args.ckpts_dir, args.name)
        with locked_folder(folder) if ranks.first else nullcontext(), events_in(folder):
            train(vars(args), ranks, stop)


def train(asked: dict[str, Any], ranks: Ranks, stop: Callable[[], bool]) -> None:
    given = asked.pop("given") - ({"precision"} if asked["precision"] == "auto" else set())
    folder = Path(asked["ckpts_dir"], asked["name"])
    state = open_run(folder, asked["resume"], ranks.launch if ranks.again else None)  # of last.pth
    cfg = SimpleNamespace(**(settle(asked, given, state["config"]) if state else asked))
    if ranks.size > 1 and cfg.device != asked["device"]:
        raise ValueError(
            f"--device: found {asked['device']}, but the run has {cfg.device}; give that"
        )
    device = pick_device(cfg.device)
    step = torch.tensor([state["step"] if state else -1], device=device)
    check_shared(folder, ranks.gather(step, ranks.size).tolist())
    auto = state["auto_precision"] if state else asked["precision"] == "auto"
    dtype = settle_precision(cfg.precision, device, auto)
    cfg.precision = precision_name(dtype)  # from now on the run has it
    arithmetic = autocast(dtype, device)
    looking = autocast(unscaled(dtype), device)  # at validation images
    classes = class_names(cfg.mapping)
    torch.manual_seed(cfg.random_seed)  # no other generator is drawn from without a seed

    # Data
    about = read_about(Path(cfg.dataset))
    if state and state["fingerprint"] != about["fingerprint"]:
        raise ValueError(f"{cfg.dataset}: not the dataset that {folder} was trained on; give that")
    moves = (cfg.flip, cfg.rotation, cfg.shift, cfg.scale)
    vary = Augmentation(*moves, cfg.jitter, cfg.augmentation_warmup_epochs)
    bar = partial(shown, unit=" images", stop=stop)
    with ranks.one_by_one():  # who comes later finds what was downloaded and decoded
        model, form = build_model(cfg, preparation(about), state)
        train_set, val_set = load_splits(cfg.dataset, cfg.mapping, form, vary, bar)
    n_classes, choice = len(classes), (cfg.sampling, cfg.patient_cap, cfg.loss_weights)
    plan = plan_epochs(train_set.table, train_set.targets, n_classes, *choice)
    part = (ranks.rank, ranks.size)
    batches = EpochBatches(len(train_set), cfg.batch_size, plan.chances, cfg.random_seed, *part)
    pin = device.type == "cuda"
    train_loader = make_loader(train_set, batches, cfg.n_threads, pin)
    val_loader = make_loader(val_set, in_order(len(val_set), cfg.batch_size, *part), 0, pin)

    # Model, optimizer
    if cfg.sync_batchnorm:
        if device.type != "cuda":
            raise ValueError(f"--sync-batchnorm: found {device}; expected CUDA. Leave it out")
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    elif ranks.size > 1 and cfg.batch_size < FEW * ranks.size:
        text = "batch_size: %d images on %d devices are few for the BatchNorm of each; raise it, or"
        log.warning(f"{text} give --sync-batchnorm on GPUs", cfg.batch_size, ranks.size)
    model.freeze(cfg.freeze or [])
    model = model.to(device, memory_format=torch.channels_last)
    weights = torch.tensor(plan.weights, dtype=torch.float32, device=device)
    loss_of = partial(batch_loss, weights=weights, smoothing=cfg.label_smoothing)
    descent = build_descent(model, cfg, batches.batches, dtype)
    average = None if cfg.average_decay is None else RunningAverage(model, cfg.average_decay)
    kept = model if average is None else average.model  # what is validated and goes into best.pth

    # Resume
    progress = Progress.of(state, device)
    if state:
        load_strictly(kept, state["state_dict"], str(folder / "last.pth"))
        load_strictly(model, state["weights"], str(folder / "last.pth"))
        descent.load_state_dict(state)
        set_rng_state(state["rng"])
    news = state is None or differ(vars(cfg), state["config"])
    state = None  # its tensors take memory
    watch, saved = Watch(device), time.monotonic()

    def check_weights() -> None:
        """Before they are saved: the loss of the last step was that of the weights before it."""
        watch.see_weights(model.state_dict().values(), progress.step)
        watch.check(progress.left)

    def save(file: str, **more: Any) -> None:
        """What evaluation and prediction need, and `more`."""
        if not ranks.first:
            return
        content = {
            "state_dict": kept.state_dict(),
            "mapping": cfg.mapping,
            "input": asdict(form),
            "config": vars(cfg),
            "epoch": progress.epoch,
            "step": progress.step,
            "metrics": progress.metrics,
            "prior": plan.prior.tolist(),
            "temperature": 1.0,
            "test_time_augmentation": cfg.test_time_augmentation,
            "fingerprint": about["fingerprint"],
            "versions": versions(),
        }
        save_checkpoint(folder / file, content | more)

    def save_last() -> None:
        """What it takes to go on with the run, bit for bit."""
        nonlocal saved
        check_weights()
        more = descent.state_dict() | progress.state() | {"weights": model.state_dict()}
        save("last.pth", rng=rng_state(), launch=ranks.launch, auto_precision=auto, **more)
        saved = time.monotonic()

    def due() -> bool:
        return time.monotonic() - saved > 60 * cfg.save_minutes

    def stopped(loss: Loss) -> bool:
        """Whether a rank was asked to stop; all ranks hear of it at the same step."""
        if ranks.size == 1:
            return stop()
        return progress.step % (HEAR if device.type == "cuda" else 1) == 0 and bool(loss.stops)

    def leave() -> NoReturn:
        save_last()
        ranks.any(True, device)  # torchrun ends all as soon as one has ended, also who still writes
        log.info("Stopped at step %d; %s. --resume goes on", progress.step, progress.left())
        raise KeyboardInterrupt

    if ranks.first:
        sweep(folder)
    if news:
        save_last()  # so that a run killed before its next save goes on with its settings of now
    writer = None
    if ranks.first:
        figure = draw_confusion_matrix(progress.matrix, classes) if progress.history else None
        writer = open_history(folder, progress.history, figure, progress.step)
        write_json(folder / "config.json", vars(cfg))
        batches.begin(cfg.epochs - 1)  # when the augmentation is at its strongest
        show_start(writer, vars(cfg), train_set.__getitems__(next(iter(batches)))[0])
    sizes = f"{len(train_set)} training and {len(val_set)} validation images"
    where = f"on {ranks.size} x {device}" if ranks.size > 1 else f"on {device}"
    log.info("%s: %s, %s in %s", folder, sizes, where, cfg.precision)

    net = None
    quiet = None if ranks.first else True  # tqdm: None hides the bar where there is no terminal
    for epoch in range(progress.epoch, cfg.epochs):
        if stalled(progress.history, cfg.early_stopping_patience):
            log.info("Stopped: no better macro F1 for %d epochs", cfg.early_stopping_patience)
            break
        if cfg.thaw_epoch is not None and epoch >= cfg.thaw_epoch:
            model.thaw()
        if net is None or epoch == cfg.thaw_epoch:
            net = ranks.share(model, torch.zeros(1, 3, cfg.height, cfg.width, device=device))
            net = torch.compile(net) if cfg.compile else net
        batches.begin(epoch, progress.done)
        model.train()
        began, first = time.perf_counter(), progress.done
        title = f"Epoch {epoch + 1}/{cfg.epochs}"
        bar = tqdm(train_loader, title, unit="batch", leave=False, disable=quiet)
        for pixels, targets in bar:  # (N, 1, H, W) uint8, (N,) int64
            images = form.normalise(pixels.to(device, non_blocking=True))  # (N, 3, H, W) float32
            targets = targets.to(device, non_blocking=True)
            with arithmetic:
                logits = net(images)
            loss = loss_of(logits, targets, ranks=ranks, stop=stop())
            descent.step(loss.share)
            progress.count(loss.mean)
            if average is not None:
                average.update(progress.step)
            watch.see(loss.mean, progress.step)
            if progress.step % cfg.log_steps == 0:
                watch.check(progress.left)
                bar.set_postfix(loss=f"{loss.mean.item():.3f}")
                if writer:
                    writer.add_scalar("train/step_loss", loss.mean, progress.step)
            if stopped(loss):
                leave()
            if due():
                save_last()
        watch.check(progress.left)  # waits for the device
        done = (progress.done - first) / batches.batches  # of the epoch, since it was begun here
        speed = len(train_set) * done / (time.perf_counter() - began) if done else math.nan

        # Validate
        ranks.copy_from_first(kept.buffers())  # each rank has BatchNorm statistics of its own
        look = partial(predict_logits, device=device, normalise=form.normalise, autocast=looking)
        found = validate(kept, val_loader, look, loss_of, ranks, stop)
        if found is None:
            leave()
        matrix, metrics = found
        watch.see(metrics["loss"], progress.step)
        check_weights()
        row = {"lr": descent.rate, "images_per_second": speed}
        is_best = progress.end_epoch(metrics, matrix.tolist(), **row)
        descent.end_epoch(metrics["macro_f1"])

        # Save: best before last, so that a run killed between them does this epoch again, alike
        if is_best:
            save("best.pth")
        over = epoch + 1 == cfg.epochs or stalled(progress.history, cfg.early_stopping_patience)
        if over or due():
            save_last()
        if writer:
            figure = draw_confusion_matrix(matrix, classes)
            show_epoch(folder, writer, progress.history, figure, progress.step)
        if collapsed(progress.history, cfg.collapse_patience):
            raise ValueError(
                f"step {progress.step}: for {cfg.collapse_patience} epochs every validation image"
                f" was named {classes[matrix.sum(0).argmax()]}; change --lr or --loss-weights."
                f" {progress.left()}"
            )

    if writer:
        show_end(writer)
        finish(folder / "best.pth", cfg, device, unscaled(dtype), stop)
    text = "Best validation macro F1: %.3f. Next: python3 evaluate.py %s"
    log.info(text, progress.best, shlex.quote(str(folder / "best.pth")))


def shown(items: Iterable, title: str, unit: str, stop: Callable[[], bool]) -> Iterator:
    """The items under a bar, until the run is asked to stop."""
    return until_stopped(tqdm(items, title, unit=unit, leave=False, disable=None), stop)


def build_model(
    cfg: SimpleNamespace, prepared: Preparation, state: dict | None
) -> tuple[COVIDNext50, InputFormat]:
    """The network with the weights that it starts from, and the input that suits them."""
    n_classes = len(class_names(cfg.mapping))
    if state:  # a run that goes on has them, and needs no file or network for them again
        return COVIDNext50(n_classes), InputFormat.of(state["input"])
    if cfg.weights is None:
        trunk = trunk_state(cfg.backbone_weights) if cfg.backbone_weights else None
        model, normal = COVIDNext50(n_classes, trunk), IMAGENET if trunk else PLAIN
    else:
        start = load_checkpoint(cfg.weights)
        model, tensors = COVIDNext50(n_classes), start["state_dict"]
        if class_names(start["mapping"]) != class_names(cfg.mapping):
            log.info("%s: other classes, so the head is drawn anew", cfg.weights)
            tensors |= {name: t for name, t in model.state_dict().items() if "logits" in name}
        load_strictly(model, tensors, cfg.weights)
        normal = {name: start["input"][name] for name in ("mean", "std")}
    return model, InputFormat((cfg.height, cfg.width), **normal, prepared=prepared)


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


def finish(
    best: Path, cfg: SimpleNamespace, device: torch.device, dtype: torch.dtype, stop: Callable
) -> None:
    """Adds to the best checkpoint what is needed beside it: a temperature, fitted to the validation
    images; what the network says of these, to choose operating points on; and what training images
    look like, so that others are doubted."""
    checkpoint = load_checkpoint(best)
    form, prior = InputFormat.of(checkpoint["input"]), np.array(checkpoint["prior"])
    network = ready(load_network(checkpoint["state_dict"], len(prior), str(best)), device, dtype)
    augmented = cfg.test_time_augmentation

    def look(split: str) -> tuple[np.ndarray, Examined, list[int]]:
        pixels, targets = read_some(Path(cfg.dataset), split, cfg.mapping, form, ENOUGH)
        batches = shown(pixels.split(cfg.batch_size), f"A last look at {split}", "batch", stop)
        seen = examine(network, batches, device, form.normalise, augmented=augmented)
        return pixels.numpy(), seen, targets

    try:
        _, seen, targets = look("val")
        pixels, of_train, _ = look("train")
    except KeyboardInterrupt:
        text = (
            "Stopped in the last look, which gives %s its temperature and gate; --resume takes it"
        )
        log.info(text, best)
        raise
    weights = prior / class_shares(targets, len(prior)).clip(1e-12)  # of classes as in training
    checkpoint["temperature"] = fit_temperature(seen.logits.cpu().numpy(), targets, weights)
    checkpoint |= {"config": vars(cfg), "test_time_augmentation": augmented}
    checkpoint["validation"] = {"logits": seen.logits.cpu(), "targets": targets}
    checkpoint["gate"] = Gate.fit(pixels, of_train.features.cpu().numpy()).state()
    save_checkpoint(best, checkpoint)


def validate(
    model: nn.Module,
    loader: DataLoader,
    look: Callable[[nn.Module, Iterable[torch.Tensor]], torch.Tensor],
    loss_of: Callable[..., Loss],
    ranks: Ranks,
    stop: Callable[[], bool],
) -> tuple[np.ndarray, dict[str, float]] | None:
    """The confusion matrix and the metrics over all validation images, on every rank alike.

    None if a rank was asked to stop. look: predict_logits but for its first two arguments.
    """
    device = next(model.parameters()).device

    def mine() -> Iterator[torch.Tensor]:
        for pixels, _ in loader:
            yield pixels
            if stop():
                return

    logits = look(model, mine())
    if ranks.any(stop(), device):
        return None
    logits = ranks.gather(logits, len(loader.dataset))
    targets = torch.tensor(loader.dataset.targets, device=device)
    loss = loss_of(logits, targets, ranks=Ranks()).mean
    probabilities, known = logits.softmax(1).cpu().numpy(), targets.cpu().numpy()
    matrix = confusion_matrix(known, logits.argmax(1).cpu().numpy(), logits.shape[1])
    scores = summary(matrix) | {"macro_auroc": macro_auroc(probabilities, known)}
    named = int((matrix.sum(0) > 0).sum())
    return matrix, {"loss": loss.item(), **scores, "classes_named": named}


if __name__ == "__main__":
    run(lambda: main(args), "train.py")

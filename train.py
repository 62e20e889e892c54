"""Trains COVIDNext50 on a dataset folder. Validation chooses best.pth; the test split is not read.

python3 train.py --dataset dataset --name my_run    settings: config.py, each also a flag
python3 train.py --name my_run --resume             goes on where the run was stopped
torchrun --nproc_per_node=8 train.py ...            the same on many devices

The run's folder experiments/NAME/ gets best.pth, last.pth, config.json, history.csv, curves.png and
TensorBoard events.
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import config
from util.flags import Parser, add_config, demand
from util.script import run

log = logging.getLogger(__name__)
ENOUGH = 1000  # images of a split, at least half as many, for what one number or mean is taken of


def arguments() -> argparse.Namespace:
    parser = Parser(prog="train.py", description=__doc__)
    add_config(parser, config)
    cfg = parser.parse_args()
    demand(parser, cfg, ("epochs", "batch_size", "log_steps", "early_stopping_patience"), 1)
    demand(parser, cfg, ("patient_cap", "thaw_epoch", "collapse_patience"), 1)
    demand(parser, cfg, ("width", "height"), 32)
    demand(parser, cfg, ("lr",), 1e-12)
    demand(parser, cfg, ("random_seed", "n_threads", "lr_reduce_patience", "warmup_epochs"), 0)
    demand(parser, cfg, ("weight_decay", "rotation", "jitter", "clip_norm", "save_minutes"), 0)
    demand(parser, cfg, ("flip", "shift", "label_smoothing", "lr_reduce_factor"), 0, 1)
    if cfg.patient_cap and cfg.sampling == "shuffle":
        parser.error("--patient-cap: shuffle shows every image; give --sampling balanced with it")
    if cfg.thaw_epoch and not cfg.freeze:
        parser.error("--thaw-epoch: found no block that is frozen; give --freeze with it")
    return cfg


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from data.augmentation import Augmentation
from data.dataset import RadiographDataset
from data.folder import preparation, read_about
from data.gate import Gate
from data.loader import make_loader
from data.mapping import class_names
from data.preparation import Preparation
from data.sampling import EpochBatches, class_shares, class_weights, image_chances, in_order
from data.transforms import IMAGENET, PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.inference import Examined, examine, predict_logits
from model.ready import ready
from model.weights import load_network, load_strictly, trunk_state
from util.calibration import fit_temperature
from util.checkpoint import load_checkpoint, save_checkpoint
from util.device import autocast, pick_device, pick_precision
from util.distributed import Ranks, ranks_of_run
from util.files import write_json
from util.history import collapsed, show_end, show_epoch, show_start, stalled
from util.loss import Watch, batch_loss
from util.metrics import confusion_matrix, summary
from util.optimization import cosine_schedule, make_optimizer, plateau_schedule
from util.plots import draw_confusion_matrix
from util.reproduce import rng_state, set_rng_state
from util.runs import open_run, settle
from util.script import stop_asked
from util.versions import versions


def main(args: argparse.Namespace) -> None:
    with ranks_of_run(args.device) as ranks, stop_asked() as stop:
        if not ranks.first:
            logging.getLogger().setLevel(logging.WARNING)
        train(vars(args), ranks, stop)


def train(asked: dict[str, Any], ranks: Ranks, stop: Callable[[], bool]) -> None:
    given = asked.pop("given")
    folder = Path(asked["ckpts_dir"], asked["name"])
    state = open_run(folder, asked["resume"] or ranks.again)  # of last.pth; None for a new run
    cfg = SimpleNamespace(**(settle(asked, given, state["config"]) if state else asked))
    device = pick_device(cfg.device)
    dtype = pick_precision(cfg.precision, device)
    arithmetic = autocast(dtype, device)
    classes = class_names(cfg.mapping)
    torch.manual_seed(cfg.random_seed)  # no other generator is drawn from without a seed

    # Data
    about = read_about(Path(cfg.dataset))
    if state and state["fingerprint"] != about["fingerprint"]:
        raise ValueError(f"{cfg.dataset}: not the dataset that {folder} was trained on; give that")
    model, form = build_model(cfg, preparation(about), state)
    with ranks.one_by_one():
        train_set, val_set = load_data(cfg, form)
    targets, n_classes, table = train_set.targets, len(classes), train_set.table
    chances = image_chances(
        cfg.sampling, targets, list(table["source"]), list(table["patient_id"]), cfg.patient_cap
    )
    weights = class_weights(cfg.loss_weights, targets, n_classes, chances)
    prior = class_shares(targets, n_classes, chances) * weights  # how common each class seems
    batches = EpochBatches(
        len(train_set), cfg.batch_size, chances, cfg.random_seed, ranks.rank, ranks.size
    )
    val_batches = in_order(len(val_set), cfg.batch_size, ranks.rank, ranks.size)
    loader = partial(make_loader, workers=cfg.n_threads, pin=device.type == "cuda")
    train_loader, val_loader = loader(train_set, batches), loader(val_set, val_batches)

    # Model, optimizer
    if cfg.sync_batchnorm:
        if device.type != "cuda":
            raise ValueError(f"--sync-batchnorm: found {device}; expected CUDA. Leave it out")
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    model.freeze(cfg.freeze or [])
    model = model.to(device, memory_format=torch.channels_last)
    loss_of = partial(
        batch_loss,
        weights=torch.tensor(weights, dtype=torch.float32, device=device),
        smoothing=cfg.label_smoothing,
    )
    optimizer = make_optimizer(model, cfg.optimizer, cfg.lr, cfg.weight_decay)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    if cfg.schedule == "cosine":
        warmup = int(cfg.warmup_epochs * batches.batches)
        schedule = cosine_schedule(optimizer, cfg.epochs * batches.batches, warmup)
    else:
        schedule = plateau_schedule(optimizer, cfg.lr_reduce_factor, cfg.lr_reduce_patience)

    # Resume
    step, history, best, metrics = 0, [], -1.0, {}
    # Of the epoch so far: batches, their loss, the last one's rate
    done, total, rate = 0, torch.zeros((), device=device), 0.0
    if state:
        load_strictly(model, state["state_dict"], str(folder / "last.pth"))
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["scheduler"])
        scaler.load_state_dict(state["scaler"])
        set_rng_state(state["rng"])
        step, history, best = state["step"], state["history"], state["best"]
        metrics, (done, loss, rate) = state["metrics"], state["running"]
        total += loss

    def save(file: str, **more: Any) -> None:
        """What evaluation and prediction need, and `more`."""
        content = {
            "state_dict": model.state_dict(),
            "mapping": cfg.mapping,
            "input": asdict(form),
            "config": vars(cfg),
            "epoch": len(history),
            "step": step,
            "metrics": metrics,
            "prior": (prior / prior.sum()).tolist(),
            "temperature": 1.0,
            "fingerprint": about["fingerprint"],
            "versions": versions(),
        }
        if ranks.first:
            save_checkpoint(folder / file, content | more)

    def save_last() -> None:
        """What it takes to go on with the run, bit for bit."""
        save(
            "last.pth",
            optimizer=optimizer.state_dict(),
            scheduler=schedule.state_dict(),
            scaler=scaler.state_dict(),
            rng=rng_state(),
            history=history,
            best=best,
            running=(done, total.item(), rate),
        )

    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
    if not state:
        save_last()  # so that a run killed in its first epoch goes on with its settings
    saved, watch = time.monotonic(), Watch(device)
    writer = SummaryWriter(folder, purge_step=step + 1) if ranks.first else None
    if writer:
        write_json(folder / "config.json", vars(cfg))
        show_start(writer, vars(cfg), train_set.__getitems__(next(iter(batches)))[0])
    sizes = f"{len(train_set)} training and {len(val_set)} validation images"
    where = f"on {ranks.size} x {device}" if ranks.size > 1 else f"on {device}"
    log.info("%s: %s, %s in %s", folder, sizes, where, str(dtype).removeprefix("torch."))

    net, quiet = None, None if ranks.first else True
    for epoch in range(len(history), cfg.epochs):
        if stalled(history, cfg.early_stopping_patience):
            log.info("Stopped: no better macro F1 for %d epochs", cfg.early_stopping_patience)
            break
        if cfg.thaw_epoch is not None and epoch >= cfg.thaw_epoch:
            model.thaw()
        if net is None or epoch == cfg.thaw_epoch:
            net = ranks.share(model, device)
            net = torch.compile(net) if cfg.compile else net
        batches.begin(epoch, done)
        model.train()
        began, first = time.perf_counter(), done
        title = f"Epoch {epoch + 1}/{cfg.epochs}"
        bar = tqdm(train_loader, title, unit="batch", leave=False, disable=quiet)
        for pixels, targets in bar:  # (N, 1, H, W) uint8, (N,) int64
            images = form.normalise(pixels.to(device, non_blocking=True))  # (N, 3, H, W) float32
            targets = targets.to(device, non_blocking=True)
            with arithmetic:
                logits = net(images)
            loss, mean = loss_of(logits, targets, ranks=ranks)
            scaler.scale(loss).backward()
            if cfg.clip_norm:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), cfg.clip_norm)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            rate = optimizer.param_groups[0]["lr"]
            if cfg.schedule == "cosine":
                schedule.step()
            step, done = step + 1, done + 1
            total += mean
            watch.see(mean, step)
            if step % cfg.log_steps == 0:
                watch.check()
                bar.set_postfix(loss=f"{mean.item():.3f}")
                if writer:
                    writer.add_scalar("train/step_loss", mean, step)
            if stop() or time.monotonic() - saved > 60 * cfg.save_minutes:
                watch.check()
                save_last()
                saved = time.monotonic()
            if stop():
                log.info(
                    "Step %d; best validation macro F1 so far: %.3f; --resume goes on", step, best
                )
                raise KeyboardInterrupt
        speed = len(train_set) * (done - first) / batches.batches / (time.perf_counter() - began)

        # Validate
        watch.check()
        row = {"epoch": epoch + 1, "train_loss": total.item() / done}
        row |= {"lr": rate, "images_per_second": speed}
        ranks.copy_from_first(model.buffers())  # each rank has BatchNorm statistics of its own
        matrix, metrics = validate(model, val_loader, loss_of, form, arithmetic, ranks)
        row |= {f"val_{name}": value for name, value in metrics.items()}
        history.append(row)
        done = 0
        total.zero_()
        if cfg.schedule == "plateau":
            schedule.step(metrics["macro_f1"])

        # Save: best before last, so that a run killed between them does this epoch again, alike
        if metrics["macro_f1"] > best:
            best = metrics["macro_f1"]
            save("best.pth")
        over = epoch + 1 == cfg.epochs or stalled(history, cfg.early_stopping_patience)
        if over or time.monotonic() - saved > 60 * cfg.save_minutes:
            save_last()
            saved = time.monotonic()
        if writer:
            show_epoch(folder, writer, history, draw_confusion_matrix(matrix, classes), step)
        if collapsed(history, cfg.collapse_patience):
            raise ValueError(
                f"step {step}: for {cfg.collapse_patience} epochs every validation image was named"
                f" {classes[matrix.sum(0).argmax()]}; change --lr or --loss-weights"
            )

    if writer:
        show_end(writer, vars(cfg), best)
        finish(folder / "best.pth", cfg, device, dtype, stop)
    log.info("Best validation macro F1: %.3f. Next: python3 evaluate.py %s/best.pth", best, folder)


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


def load_data(cfg: SimpleNamespace, form: InputFormat) -> list[RadiographDataset]:
    """The training and the validation split."""
    vary = Augmentation(cfg.flip, cfg.rotation, cfg.shift, cfg.scale, cfg.jitter)
    sets = []
    for split, augmentation in {"train": vary, "val": None}.items():
        bar = partial(tqdm, desc=f"Decoding {split}", unit=" images", leave=False, disable=None)
        images = RadiographDataset(cfg.dataset, split, cfg.mapping, form, augmentation, bar)
        for label, number in images.unused.items():
            log.info("%s: mapping leaves out %s, %d images", split, label, number)
        sets.append(images)
    return sets


def finish(
    best: Path, cfg: SimpleNamespace, device: torch.device, dtype: torch.dtype, stop: Callable
) -> None:
    """Adds to the best checkpoint what prediction needs beside it: a temperature, fitted to the
    validation images, and what training images look like, so that others are doubted."""
    checkpoint = load_checkpoint(best)
    form, prior = InputFormat.of(checkpoint["input"]), np.array(checkpoint["prior"])
    network = ready(load_network(checkpoint["state_dict"], len(prior), str(best)), device, dtype)

    def look(split: str) -> tuple[np.ndarray, Examined, list[int]]:
        images = RadiographDataset(cfg.dataset, split, cfg.mapping, form)
        some = range(0, len(images), -(-len(images) // ENOUGH))
        pixels = torch.stack([images[k][0] for k in some])
        seen = examine(network, unless_stopped(pixels, split), device, form.normalise)
        return pixels.numpy(), seen, [images.targets[k] for k in some]

    def unless_stopped(pixels: torch.Tensor, split: str) -> Iterator[torch.Tensor]:
        batches = pixels.split(cfg.batch_size)
        for batch in tqdm(batches, f"A last look at {split}", leave=False, disable=None):
            if stop():
                log.info("Stopped at the last look at the images; --resume takes it")
                raise KeyboardInterrupt
            yield batch

    _, seen, targets = look("val")
    weights = prior / class_shares(targets, len(prior)).clip(1e-12)  # of classes as in training
    checkpoint["temperature"] = fit_temperature(seen.logits.cpu().numpy(), targets, weights)
    pixels, seen, _ = look("train")
    checkpoint["gate"] = Gate.fit(pixels, seen.features.cpu().numpy()).state()
    save_checkpoint(best, checkpoint)


def validate(
    model: nn.Module,
    loader: DataLoader,
    loss_of: Callable,
    form: InputFormat,
    arithmetic: AbstractContextManager,
    ranks: Ranks,
) -> tuple[np.ndarray, dict[str, float]]:
    """The confusion matrix and the metrics over all validation images, on every rank alike."""
    device = next(model.parameters()).device
    mine = (pixels for pixels, _ in loader)
    logits = predict_logits(model, mine, device, form.normalise, arithmetic)
    logits = ranks.gather(logits, len(loader.dataset))
    targets = torch.tensor(loader.dataset.targets, device=device)
    _, loss = loss_of(logits, targets, ranks=Ranks())
    found = logits.argmax(1)
    matrix = confusion_matrix(targets.cpu().numpy(), found.cpu().numpy(), logits.shape[1])
    named = int((matrix.sum(0) > 0).sum())
    return matrix, {"loss": loss.item(), **summary(matrix), "classes_named": named}


if __name__ == "__main__":
    run(lambda: main(args), "train.py")

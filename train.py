"""Trains COVIDNext50 on a dataset folder. Validation chooses best.pth; the test split is not read.

python3 train.py --dataset dataset --name my_run    settings: config.py, each also a flag
python3 train.py --name my_run --resume             goes on where the run was stopped

The run's folder experiments/NAME/ gets best.pth, last.pth, config.json, history.csv, curves.png and
TensorBoard events.
"""

import argparse
import logging
import math
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import config
from util.flags import Parser, add_config, demand
from util.script import run

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="train.py", description=__doc__)
    add_config(parser, config)
    cfg = parser.parse_args()
    demand(parser, cfg, ("epochs", "batch_size", "log_steps", "early_stopping_patience"), 1)
    demand(parser, cfg, ("width", "height"), 32)
    demand(parser, cfg, ("lr",), 1e-12)
    demand(parser, cfg, ("random_seed", "n_threads", "lr_reduce_patience", "warmup_epochs"), 0)
    demand(parser, cfg, ("weight_decay", "rotation", "jitter"), 0)
    demand(parser, cfg, ("flip", "shift", "label_smoothing", "lr_reduce_factor"), 0, 1)
    return cfg


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from data.dataset import RadiographDataset
from data.folder import preparation, read_about
from data.mapping import class_names
from data.preparation import Preparation
from data.sampling import EpochSampler, class_weights
from data.transforms import (
    IMAGENET,
    PLAIN,
    Augmentation,
    InputFormat,
    eval_transform,
    train_transform,
)
from model.covidnext50 import COVIDNext50
from model.inference import predict_logits
from model.weights import load_strictly, trunk_state
from util.checkpoint import load_checkpoint, save_checkpoint
from util.device import autocast, pick_device, pick_precision
from util.files import write_json
from util.history import show_epoch, stalled
from util.metrics import confusion_matrix, summary
from util.optimization import cosine_schedule, make_optimizer, plateau_schedule
from util.reproduce import rng_state, set_rng_state
from util.runs import open_run, settle
from util.versions import versions


def main(args: argparse.Namespace) -> None:
    asked = vars(args)
    given = asked.pop("given")
    folder = Path(asked["ckpts_dir"], asked["name"])
    state = open_run(folder, asked["resume"])  # of last.pth, or None for a new run
    cfg = SimpleNamespace(**(settle(asked, given, state["config"]) if state else asked))
    device = pick_device(cfg.device)
    dtype = pick_precision(cfg.precision, device)
    arithmetic = autocast(dtype, device)
    torch.manual_seed(cfg.random_seed)  # no other generator is drawn from without a seed

    # Data
    about = read_about(Path(cfg.dataset))
    if state and state["fingerprint"] != about["fingerprint"]:
        raise ValueError(f"{cfg.dataset}: not the dataset that {folder} was trained on; give that")
    model, form = build_model(cfg, preparation(about), state)
    train_set, val_set = load_data(cfg, form)
    sampler = EpochSampler(train_set.targets, cfg.sampling, cfg.random_seed)
    train_loader = make_loader(train_set, cfg, device, sampler)
    val_loader = make_loader(val_set, cfg, device)

    # Model, loss, optimizer
    model.freeze(cfg.freeze or [])
    model = model.to(device, memory_format=torch.channels_last)
    loss_fn = make_loss(cfg, train_set.targets).to(device)
    optimizer = make_optimizer(model, cfg.optimizer, cfg.lr, cfg.weight_decay)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    if cfg.schedule == "cosine":
        per_epoch = len(train_loader)
        warmup = int(cfg.warmup_epochs * per_epoch)
        schedule = cosine_schedule(optimizer, cfg.epochs * per_epoch, warmup)
    else:
        schedule = plateau_schedule(optimizer, cfg.lr_reduce_factor, cfg.lr_reduce_patience)

    # Resume
    step, history, best, metrics = 0, [], -1.0, {}
    if state:
        load_strictly(model, state["state_dict"], str(folder / "last.pth"))
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["scheduler"])
        scaler.load_state_dict(state["scaler"])
        set_rng_state(state["rng"])
        step, history, best = state["step"], state["history"], state["best"]
        metrics = state["metrics"]

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
            "temperature": 1.0,
            "fingerprint": about["fingerprint"],
            "versions": versions(),
        }
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
        )

    folder.mkdir(parents=True, exist_ok=True)
    if not state:
        save_last()  # so that a run killed in its first epoch goes on with its settings
    write_json(folder / "config.json", vars(cfg))
    writer = SummaryWriter(folder, purge_step=step + 1)
    sizes = f"{len(train_set)} training and {len(val_set)} validation images"
    log.info("%s: %s, on %s in %s", folder, sizes, device, str(dtype).removeprefix("torch."))

    for epoch in range(len(history), cfg.epochs):
        if stalled(history, cfg.early_stopping_patience):
            log.info("Stopped: no better macro F1 for %d epochs", cfg.early_stopping_patience)
            break
        train_set.set_epoch(epoch)
        sampler.set_epoch(epoch)
        model.train()
        shown, total, began = 0, torch.zeros((), device=device), time.perf_counter()
        title = f"Epoch {epoch + 1}/{cfg.epochs}"
        with tqdm(desc=title, total=len(train_set), unit="img", leave=False, disable=None) as bar:
            for images, targets in train_loader:  # (N, 3, H, W) float32, (N,) int64
                images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
                targets = targets.to(device, non_blocking=True)
                with arithmetic:
                    loss = loss_fn(model(images), targets)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
                rate = optimizer.param_groups[0]["lr"]
                if cfg.schedule == "cosine":
                    schedule.step()
                step += 1
                shown += len(images)
                total += loss.detach() * len(images)
                if step % cfg.log_steps == 0:
                    writer.add_scalar("train/step_loss", finite(loss.item(), step), step)
                    bar.set_postfix(loss=f"{loss.item():.3f}")
                bar.update(len(images))
        speed = shown / (time.perf_counter() - began)

        # Validate
        row = {"epoch": epoch + 1, "train_loss": finite(total.item() / shown, step)}
        row |= {"lr": rate, "images_per_second": speed}
        metrics = validate(model, val_loader, loss_fn, device, arithmetic)
        row |= {f"val_{name}": value for name, value in metrics.items()}
        history.append(row)
        if cfg.schedule == "plateau":
            schedule.step(metrics["macro_f1"])

        # Save: best before last, so that a run killed between them does this epoch again, alike
        better = metrics["macro_f1"] > best
        if better:
            best = metrics["macro_f1"]
            save("best.pth")
        show_epoch(folder, writer, history, step)
        save_last()

    writer.close()
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
    transforms = {"train": train_transform(form, vary), "val": eval_transform(form)}
    sets = []
    for split, transform in transforms.items():
        images = RadiographDataset(cfg.dataset, split, cfg.mapping, transform, cfg.random_seed)
        for label, number in images.unused.items():
            log.info("%s: mapping leaves out %s, %d images", split, label, number)
        sets.append(images)
    return sets


def make_loader(
    images: RadiographDataset,
    cfg: SimpleNamespace,
    device: torch.device,
    sampler: EpochSampler | None = None,
) -> DataLoader:
    return DataLoader(
        images,
        cfg.batch_size,
        sampler=sampler,
        num_workers=cfg.n_threads,
        persistent_workers=cfg.n_threads > 0,
        pin_memory=device.type == "cuda",
        # A last batch of a single image has no batch statistics to train on.
        drop_last=sampler is not None and len(images) % cfg.batch_size == 1,
    )


def make_loss(cfg: SimpleNamespace, targets: list[int]) -> nn.CrossEntropyLoss:
    n_classes, weights = len(class_names(cfg.mapping)), cfg.loss_weights
    if weights == "counts":  # balanced sampling has evened the classes out already
        weights = class_weights(targets, n_classes) if cfg.sampling == "shuffle" else None
    if weights is not None and len(weights) != n_classes:
        raise ValueError(f"--loss-weights: found {len(weights)} numbers; expected {n_classes}")
    weights = None if weights is None else torch.tensor(weights)
    return nn.CrossEntropyLoss(weights, label_smoothing=cfg.label_smoothing)


def validate(model, loader: DataLoader, loss_fn, device, arithmetic) -> dict[str, float]:
    logits = predict_logits(model, (images for images, _ in loader), device, arithmetic)
    targets = torch.tensor(loader.dataset.targets)
    matrix = confusion_matrix(targets.numpy(), logits.argmax(1).numpy(), logits.shape[1])
    return {"loss": loss_fn(logits.to(device), targets.to(device)).item(), **summary(matrix)}


def finite(loss: float, step: int) -> float:
    if math.isfinite(loss):
        return loss
    raise ValueError(f"step {step}: the loss is {loss}; lower --lr. The checkpoints are as before")


if __name__ == "__main__":
    run(lambda: main(args), "train.py")

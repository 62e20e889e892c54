"""Trains COVIDNext50 by another recipe, with the images, the split and the network of train.py.

python3 -m benchmarks.recipes.rivals RECIPE DATASET RUN --seed 1 --size 96 --epochs 40

Writes RUN/best.pth, chosen by validation macro F1 as in train.py, and RUN/history.csv; a run that
was stopped goes on after its last whole epoch. The recipe has its own augmentation, loss,
optimizer, schedule, and residual blocks that start as torchvision draws them. It shares with
train.py what costs it nothing: images decoded once, and the arithmetic that fits the device.
"""

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from data.dataset import RadiographDataset
from data.dataset_folder import preparation, read_about
from data.loader import make_loader
from data.sampling import EpochBatches, in_order
from data.transforms import PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.inference import predict_logits
from model.resnext import Bottleneck
from util.checkpoint import save_checkpoint
from util.device import autocast, pick_device, pick_precision
from util.files import atomic_path
from util.metrics.calibration import fit_temperature
from util.metrics.scores import confusion_matrix, macro_auroc, summary
from util.training.class_weights import class_frequencies, class_prior, class_weights
from util.training.schedule import plateau_schedule
from util.training.step import Descent
from util.versions import versions

MAPPING = {"normal": 0, "pneumonia": 1, "COVID-19": 2}


@dataclass(frozen=True)
class Recipe:
    """vary: PIL image -> PIL image. weights: of the classes in the loss; None: from their counts.
    one_cycle: Smith & Topin, arXiv:1708.07120, per step; otherwise `plateau_schedule` per epoch.
    zero_init: the last BatchNorm of each residual block starts at 0, as in train.py."""

    vary: Callable[[Image.Image], Image.Image]
    optimizer: Callable[..., Optimizer]
    one_cycle: bool
    weights: tuple[float, ...] | None
    smoothing: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    zero_init: bool = False


BILINEAR = {"interpolation": InterpolationMode.BILINEAR}
ORIGINAL = Recipe(  # COVID-Next of 2020
    vary=transforms.Compose([
        transforms.RandomVerticalFlip(0.5),
        transforms.RandomHorizontalFlip(0.5),
        transforms.RandomApply(
            [transforms.RandomAffine(20, (0.15, 0.15), (0.8, 1.2), 5, **BILINEAR)], 0.5
        ),
        transforms.RandomApply([transforms.ColorJitter(0.3, 0.3)], 0.5),
    ]),
    optimizer=partial(torch.optim.Adam, lr=1e-4, weight_decay=1e-3),
    one_cycle=False,
    weights=(0.05, 0.05, 1.0),
    smoothing=0.0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)  # fmt: skip
PLAIN_GOOD = Recipe(
    vary=transforms.Compose([
        transforms.RandomHorizontalFlip(0.5),
        transforms.RandomAffine(10, (0.08, 0.08), (0.9, 1.15), **BILINEAR),
        transforms.ColorJitter(0.3, 0.3),
    ]),
    optimizer=partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.05),
    one_cycle=True,
    weights=None,
    smoothing=0.1,
    **PLAIN,
)  # fmt: skip
RECIPES = {
    "original": ORIGINAL,
    "plain": PLAIN_GOOD,
    "plain-zero-init": Recipe(**{**vars(PLAIN_GOOD), "zero_init": True}),
}
BATCH_SIZE = 32


def train(recipe: Recipe, dataset: Path, run: Path, seed: int, size: int, epochs: int) -> None:
    torch.manual_seed(seed)
    device = pick_device("auto")
    arithmetic = autocast(pick_precision("auto", device), device)
    about = read_about(dataset)
    form = InputFormat((size, size), recipe.mean, recipe.std, preparation(about))
    train_set, val_set = (
        RadiographDataset(dataset, split, MAPPING, form, vary)
        for split, vary in (("train", lambda pixels, _: varied(recipe, pixels)), ("val", None))
    )
    batches = EpochBatches(len(train_set), BATCH_SIZE, seed=seed)
    loader = partial(make_loader, workers=0, pin=device.type == "cuda")
    train_loader, val_loader = (
        loader(train_set, batches),
        loader(val_set, in_order(len(val_set), BATCH_SIZE)),
    )

    n_classes = len(MAPPING)
    costs = class_weights(recipe.weights or "counts", train_set.targets, n_classes)
    prior = class_prior(costs, train_set.targets)
    model = COVIDNext50(n_classes)
    if not recipe.zero_init:
        for block in model.modules():
            if isinstance(block, Bottleneck):
                nn.init.ones_(block.bn3.weight)
    model = model.to(device, memory_format=torch.channels_last)
    weights = torch.tensor(costs, dtype=torch.float32, device=device)
    shares = class_frequencies(val_set.targets, n_classes).clip(1e-12)
    loss_of = nn.CrossEntropyLoss(weights, label_smoothing=recipe.smoothing)
    optimizer = recipe.optimizer(model.parameters())
    if recipe.one_cycle:
        schedule = OneCycleLR(
            optimizer, optimizer.param_groups[0]["lr"], total_steps=epochs * batches.batches
        )
    else:
        schedule = plateau_schedule(optimizer, factor=0.7, patience=5)
    descent = Descent(optimizer, schedule)

    run.mkdir(parents=True, exist_ok=True)
    history, last = [], run / "rival_state.pth"
    whole = {"model": model, "optimizer": optimizer, "schedule": schedule}
    if last.exists():  # the augmentation draws only from torch's generator
        state = torch.load(last, weights_only=True)
        for name, part in whole.items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["rng"])
        history = state["history"]
    for epoch in range(len(history), epochs):
        batches.begin(epoch)
        model.train()
        total = 0.0
        for pixels, targets in train_loader:
            with arithmetic:
                logits = model(form.normalise(pixels.to(device)))
            loss = loss_of(logits.float(), targets.to(device))
            descent.step(loss)
            total += loss.item()
        shown = (pixels for pixels, _ in val_loader)
        logits = predict_logits(model, shown, device, form.normalise, arithmetic).cpu()
        said, targets = logits.softmax(1).numpy(), np.array(val_set.targets)
        metrics = summary(confusion_matrix(targets, said.argmax(1), n_classes))
        metrics["macro_auroc"] = macro_auroc(said, targets)
        descent.end_epoch(metrics["macro_f1"])
        if metrics["macro_f1"] > max((row["val_macro_f1"] for row in history), default=-1):
            content = {
                "state_dict": model.state_dict(),
                "mapping": MAPPING,
                "input": asdict(form),
                "config": {"name": run.name, "dataset": str(dataset), "random_seed": seed},
                "epoch": epoch + 1,
                "metrics": metrics,
                "prior": prior.tolist(),
                "temperature": fit_temperature(logits.numpy(), targets, prior / shares),
                "validation": {"logits": logits, "targets": val_set.targets},
                "fingerprint": about["fingerprint"],
                "versions": versions(),
            }
            save_checkpoint(run / "best.pth", content)
        row = {"epoch": epoch + 1, "train_loss": total / batches.batches}
        history.append(row | {f"val_{name}": value for name, value in metrics.items()})
        with atomic_path(run / "history.csv") as temporary:
            pd.DataFrame(history).to_csv(temporary, index=False)
        state = {name: part.state_dict() for name, part in whole.items()}
        state |= {"rng": torch.get_rng_state(), "history": history}
        with atomic_path(last) as temporary:
            torch.save(state, temporary)


def varied(recipe: Recipe, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(recipe.vary(Image.fromarray(pixels)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.recipes.rivals")
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("run", type=Path)
    for name in ("seed", "size", "epochs"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = vars(parser.parse_args())
    train(RECIPES[args.pop("recipe")], **args)


if __name__ == "__main__":
    main()

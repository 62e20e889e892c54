"""One recipe at one job, in a process of its own. Prints images per second of each repetition, and
the peak MiB of tensors on a GPU.

python3 -m benchmarks.speed.trial KIND SIZE BATCH WORKERS FOLDER REPETITIONS
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import config
from benchmarks.speed.plain_network import plain_network
from data.augmentation import Augmentation
from data.dataset import RadiographDataset, load_splits
from data.dataset_folder import preparation, read_about
from data.loader import make_loader
from data.sampling import EpochBatches, in_order
from data.transforms import PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.fuse_batchnorm import fuse_for_inference
from model.inference import predict_logits
from util.device import autocast, pick_device, pick_precision
from util.distributed import Ranks
from util.memory import keep_freed_memory
from util.training.loss import batch_loss
from util.training.optimizer import make_optimizer
from util.training.schedule import cosine_schedule
from util.training.step import Descent
from util.training.weight_average import RunningAverage

CLASSES = 3
OUR_STEPS = {  # kind -> settings of our_step
    "our-step": {},
    "our-float32-step": {"precision": "float32"},
    "our-compiled-step": {"compiled": True},
    "our-muon-step": {"optimizer": "muon"},
}
AT_ONCE = 20  # steps per repetition on a GPU, before the program waits for it


class FullSizeImages(Dataset):
    """The plain recipe's data: each image is read as full-size RGB and then augmented."""

    def __init__(self, folder: Path, size: int):
        self.files = sorted(folder.glob("*.png"))
        self.transform = transforms.Compose([
            transforms.Resize((size, size)),
            transforms.RandomHorizontalFlip(config.flip),
            transforms.RandomAffine(
                config.rotation, (config.shift, config.shift), config.scale,
                interpolation=transforms.InterpolationMode.BILINEAR,
            ),
            transforms.ColorJitter(config.jitter, config.jitter),
            transforms.ToTensor(),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.files[index]) as image:
            return self.transform(image.convert("RGB")), 0


def plain_loader(size: int, batch: int, workers: int, folder: Path) -> Iterable:
    images = FullSizeImages(folder, size)
    return DataLoader(
        images, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )


def our_loader(size: int, batch: int, workers: int, folder: Path) -> Iterable:
    about = read_about(folder)
    mapping = {label: k for k, label in enumerate(about["labels"])}
    vary = Augmentation(config.flip, config.rotation, config.shift, config.scale, config.jitter)
    images, _ = load_splits(folder, mapping, form(size, about), vary, lambda files, title: files)
    pin = pick_device("auto").type == "cuda"
    return make_loader(images, EpochBatches(len(images), batch), workers, pin)


def forward_pass(size: int, batch: int, folder: Path) -> Callable[[], int]:
    """A pass over the test split as in evaluate.py."""
    about = read_about(folder)
    mapping = {label: k % CLASSES for k, label in enumerate(about["labels"])}
    images = RadiographDataset(folder, "test", mapping, form(size, about))
    device = pick_device("auto")
    network = fuse_for_inference(COVIDNext50(CLASSES), device, pick_precision("auto", device))
    loader = make_loader(images, in_order(len(images), batch), 0, pin=False)
    normalise = form(size, about).normalise
    pixels = [shown for shown, _ in loader]
    return lambda: len(predict_logits(network, pixels, device, normalise))


def form(size: int, about: dict | None = None) -> InputFormat:
    return InputFormat((size, size), **PLAIN, prepared=about and preparation(about))


def plain_step() -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Float32, NCHW, Adam: images (N, 3, H, W) float32 and targets -> loss."""
    device = pick_device("auto")
    model, loss_fn = plain_network(CLASSES).to(device).train(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, weight_decay=1e-3)

    def step(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_fn(model(images.to(device)), targets.to(device))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def our_step(
    size: int, precision: str = "auto", compiled: bool = False, optimizer: str = "adamw"
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The step of train.py: pixels (N, 1, H, W) uint8 and targets -> loss."""
    keep_freed_memory()
    device = pick_device("auto")
    model = COVIDNext50(CLASSES).to(device, memory_format=torch.channels_last).train()
    dtype = pick_precision(precision, device, scaled=True)
    descends = make_optimizer(model, optimizer, 1e-4, 0.05, dtype)
    schedule = cosine_schedule(descends, 10**6, warmup_steps=0)
    descent = Descent(descends, schedule, scaled=dtype == torch.float16)
    average = config.average_decay and RunningAverage(model, config.average_decay)
    steps = itertools.count(1)
    arithmetic, normalise = autocast(dtype, device), form(size).normalise
    weights = torch.ones(CLASSES, device=device)
    net = torch.compile(model) if compiled else model

    def step(pixels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        images = normalise(pixels.to(device, non_blocking=True))
        with arithmetic:
            logits = net(images)
        targets = targets.to(device, non_blocking=True)
        loss = batch_loss(logits, targets, weights, config.label_smoothing, Ranks())
        descent.step(loss.to_backward)
        if average:
            average.update(next(steps))
        return loss.mean

    return step


def main() -> None:
    kind, *numbers = sys.argv[1:5]
    size, batch, workers = map(int, numbers)
    folder, repetitions = Path(sys.argv[5]), int(sys.argv[6])
    torch.manual_seed(0)
    device = pick_device("auto")
    loader = {"plain-loader": plain_loader, "our-loader": our_loader, "steps": our_loader}.get(kind)
    batches = loader(size, batch, workers, folder) if loader else []
    if kind in {"plain-step", "steps", *OUR_STEPS}:
        at_once = 1 if device.type == "cpu" else AT_ONCE
        targets = torch.arange(batch, device=device) % CLASSES
        pixels = torch.randint(0, 256, (batch, 1, size, size), dtype=torch.uint8, device=device)
    if kind == "plain-step":
        images = (pixels / 255).expand(-1, 3, -1, -1).contiguous()
        job = partial(through, [(images, targets)] * at_once, plain_step())
    elif kind in OUR_STEPS:
        job = partial(through, [(pixels, targets)] * at_once, our_step(size, **OUR_STEPS[kind]))
    elif kind == "forward":
        job = forward_pass(size, batch, folder)
    elif kind == "steps":  # as many as an epoch has
        job = partial(through, [(pixels, targets)] * len(batches), our_step(size))
    else:
        job = partial(through, batches, lambda *_: 0.0)
    rates = [timed(job) for _ in range(1 + repetitions)]
    rates = rates[1:]  # the first one starts processes and chooses algorithms
    gpu = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
    print(json.dumps({"rates": rates, "gpu": gpu}))


def through(batches: Iterable, step: Callable) -> int:
    """Passes each batch of an epoch through the step; returns the number of images."""
    images = 0
    for shown, targets in batches:
        last = step(shown, targets)
        images += len(shown)
    float(last)  # waits for the device
    return images


def timed(job: Callable[[], int]) -> float:
    """Images per second."""
    began = time.perf_counter()
    return job() / (time.perf_counter() - began)


if __name__ == "__main__":
    main()

"""Radiograph -> tensor: the training and the evaluation transform side by side, with one end."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import v2 as T

from data.preparation import Preparation
from data.radiograph import read_radiograph, resize

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
PLAIN = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}  # about -2 .. 2, for a fresh trunk


@dataclass(frozen=True)
class InputFormat:
    """How a network wants its input; a checkpoint carries it as a dict.

    size is (height, width). mean and std are of the RGB channels in [0, 1]. prepared is how the
    dataset's images were made: a raw file is first prepared like them, so that it gives the tensor
    that its copy in the dataset gives; None for not at all. mode is what the file is read as: `L`
    or `RGB`.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    prepared: Preparation | None = None
    mode: str = "L"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "InputFormat":
        """From the dict in a checkpoint."""
        prepared = values.get("prepared")
        return cls(**{**values, "prepared": prepared and Preparation(**prepared)})

    def read(self, path: str | Path) -> Image.Image:
        """The image of any file, for the transforms below; errors as of read_radiograph."""
        return read_radiograph(path, self.mode, self.prepared and self.prepared.enough)


@dataclass(frozen=True)
class Augmentation:
    """How far a training image is varied. There is no vertical flip: no patient hangs upside down.

    flip: probability of a mirror image. rotation: degrees to either side. shift: part of the width
    and height. scale: smallest and largest factor. jitter: of brightness and contrast, 0.3 is 70 to
    130 %.
    """

    flip: float
    rotation: float
    shift: float
    scale: tuple[float, float]
    jitter: float


def train_transform(form: InputFormat, vary: Augmentation) -> T.Compose:
    """PIL image -> float32 (3, H, W), varied at random from torch's global generator."""
    affine = T.RandomAffine(
        degrees=vary.rotation,
        translate=(vary.shift, vary.shift),
        scale=vary.scale,
        interpolation=T.InterpolationMode.BILINEAR,
    )
    jitter = T.ColorJitter(brightness=vary.jitter, contrast=vary.jitter)
    return T.Compose(
        [_Fit(form), T.RandomHorizontalFlip(vary.flip), affine, jitter, *_to_tensor(form)]
    )


def eval_transform(form: InputFormat) -> T.Compose:
    """PIL image -> float32 (3, H, W), always the same."""
    return T.Compose([_Fit(form), *_to_tensor(form)])


class _Fit:
    """Prepares the image as the dataset's were, then resizes to the network's input."""

    def __init__(self, form: InputFormat):
        self.form = form

    def __call__(self, image: Image.Image) -> Image.Image:
        if self.form.prepared:
            image = self.form.prepared(image)
        return resize(image, *self.form.size)


def _to_tensor(form: InputFormat) -> list:
    return [
        T.PILToTensor(),
        T.ToDtype(torch.float32, scale=True),
        T.Lambda(_three_channels),
        T.Normalize(form.mean, form.std, inplace=True),
    ]


def _three_channels(image: torch.Tensor) -> torch.Tensor:
    return image.expand(3, -1, -1).clone()

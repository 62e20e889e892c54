"""A split of a dataset folder, or a part of one or several, as a torchvision dataset."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.datasets import VisionDataset

from data.augmentation import Augmentation
from data.dataset_folder import read_about, read_split
from data.decoded_cache import decode_once
from data.images.radiograph import read_radiograph
from data.sampling import Draw
from data.transforms import InputFormat
from util.class_names import check_mapping
from util.words import counted

Keep = Callable[[pd.DataFrame], pd.Series]  # of metadata which rows are used, as bools

log = logging.getLogger(__name__)


class Part(NamedTuple):
    """Some images of a dataset folder: rows of the metadata of these splits. keep: None: all."""

    splits: Sequence[str]
    keep: Keep | None = None

    def __str__(self) -> str:
        return " and ".join(self.splits)


def named(files: Iterable[str]) -> Keep:
    """The rows of these files, whose names differ also between the splits."""
    return partial(_are_named, files=frozenset(files))


def _are_named(table: pd.DataFrame, files: Collection[str]) -> pd.Series:
    return table["filename"].isin(files)


WHOLE = {"train": "train", "val": "val"}  # use -> part


class StoredDataset(VisionDataset):
    """The images of a part whose label the mapping knows, as (pixels, class index) pairs.

        root/
          dataset.json
          train_metadata.csv
          train/covid-chestxray-00001.png ...

    Pixels are (1, H, W) uint8 as they lie there; each image is read when it is asked for.

    part: or the name of a split, for all of it. mapping: label -> class index; several labels may
    share one. Rows with another label are not used: `unused` counts them by label. `table` holds
    the metadata of the used rows, `targets` their class indices, both in the order of the items.
    """

    def __init__(self, root: str | Path, part: str | Part, mapping: dict[str, int]):
        super().__init__(root)
        table, kept, used = _read_used(Path(root), part, mapping)
        self.table = table[used].reset_index(drop=True)
        self.unused = Counter(table["label"][kept & ~used])
        self.targets = [mapping[label] for label in self.table["label"]]
        self._places = list(table.index[used])  # split, row
        splits = dict.fromkeys(split for split, _ in self._places)
        self._names = {split: list(table.loc[split]["filename"]) for split in splits}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        split, row = self._places[index]
        image = read_radiograph(Path(self.root, split, self._names[split][row]), "L")
        return torch.from_numpy(np.array(image)[None]), self.targets[index]


class RadiographDataset(StoredDataset):
    """The same at the size at which a network takes them.

    Pixels are (C, H, W) uint8 of the size of `form`, or of the augmentation where it has one. They
    come from an array of each split that all processes share (data.decoded_cache); `progress` wraps
    the images when that is made. InputFormat.normalise makes the network's input of them.
    `learned` is what batches have in the place of targets: these, unless a training changes it.

    An item is asked for by its index, or by a Draw of data.sampling, which also says what the
    augmentation is drawn from.

    Raises at construction, not at item 0: a folder that is missing or half written, a split without
    a usable image, a broken image.
    """

    def __init__(
        self,
        root: str | Path,
        part: str | Part,
        mapping: dict[str, int],
        form: InputFormat,
        augmentation: Augmentation | None = None,
        progress: Callable[[Iterable], Iterable] = iter,
    ):
        super().__init__(root, part, mapping)
        self.learned = torch.tensor(self.targets)
        self.augmentation = augmentation
        self._decode = {
            split: partial(decode_once, Path(root), split, names, form)
            for split, names in self._names.items()
        }
        self._files = {split: decode(progress) for split, decode in self._decode.items()}

    @cached_property
    def _pixels(self) -> dict[str, np.ndarray]:
        """All images of each split, (rows of the metadata, C, H, W)."""
        for split, file in self._files.items():
            if not file.exists():  # deleted since
                self._files[split] = self._decode[split]()
        return {split: np.load(file, mmap_mode="r") for split, file in self._files.items()}

    def __getstate__(self) -> dict:
        """A process that gets the dataset opens the array itself: pickled, it would be a copy."""
        return {name: value for name, value in vars(self).items() if name != "_pixels"}

    def __getitem__(self, item: int | Draw) -> tuple[Tensor, int]:
        pixels, _ = self.__getitems__([item])
        return pixels[0], self.targets[item.index if isinstance(item, Draw) else item]

    def __getitems__(self, items: Sequence[int | Draw]) -> tuple[Tensor, Tensor]:
        """A batch: (N, C, H, W) uint8, and of `learned`: (N,) int64."""
        draws = [item if isinstance(item, Draw) else Draw(item, (0, 0, item)) for item in items]
        places = (self._places[draw.index] for draw in draws)
        pixels = np.stack([self._pixels[split][row] for split, row in places])
        if self.augmentation:
            pairs = zip(pixels[:, 0], draws, strict=True)
            pixels = np.stack([self.augmentation(image, draw.key) for image, draw in pairs])[
                :, None
            ]
        return torch.from_numpy(pixels), self.learned[[draw.index for draw in draws]]


def load_splits(
    root: str | Path,
    mapping: dict[str, int],
    form: InputFormat,
    augmentation: Augmentation,
    progress: Callable[[Iterable, str], Iterable],
    parts: Mapping[str, str | Part] = WHOLE,
) -> list[RadiographDataset]:
    """The training images, varied, and the validation images as they are, both at the size of
    `form`.

    progress: wraps the images that are decoded, under a title. parts: which images `train` and
    `val` are. The log says which labels are not used. ValueError for a mapping with a label that
    the dataset does not have.
    """
    check_mapping(mapping, read_about(Path(root))["labels"], str(root))
    sets, varied = [], replace(augmentation, size=form.size)
    fine = form.finer() if augmentation.moves else form
    for use, read, vary in (("train", fine, varied), ("val", form, None)):
        bar = partial(progress, title=f"Decoding {parts[use]}")
        images = RadiographDataset(root, parts[use], mapping, read, vary, bar)
        if use == "train" and len(set(images.targets)) == 1:
            raise ValueError(f"{root}: train has images of one class only; expected two or more")
        for label, number in images.unused.items():
            text = "%s: mapping leaves out %s, %s"
            log.info(text, use, label, counted(number, "image"))
        sets.append(images)
    return sets


def read_some(
    folder: Path, part: str | Part, mapping: dict[str, int], form: InputFormat, most: int
) -> tuple[Tensor, pd.DataFrame]:
    """Of the images that RadiographDataset has, `most` at most, evenly through the part.

    (N, C, H, W) uint8 as they are predicted, and their metadata. Nothing is kept on the disk.
    """
    table, _, used = _read_used(folder, part, mapping)
    some = table[used].iloc[:: -(-used.sum() // most)]
    names = zip(some.index, some["filename"], strict=True)
    pixels = np.stack([form.read(folder / split / name) for (split, _), name in names])
    return torch.from_numpy(pixels), some


def _read_used(
    folder: Path, part: str | Part, mapping: dict[str, int]
) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """The metadata of the part's splits, by split and row; of each row whether it may be used, and
    whether the mapping also knows its label.

    ValueError if it knows none.
    """
    splits, keep = part = Part([part]) if isinstance(part, str) else part
    table = pd.concat({split: read_split(folder, split) for split in splits})
    kept = keep(table) if keep else pd.Series(True, table.index)
    used = kept & table["label"].isin(mapping)
    if not used.any():
        found = ", ".join(sorted(set(table["label"][kept]))) or "no row"
        text = f"{folder}: {part} has {found}; expected an image of {', '.join(mapping)}"
        raise ValueError(text)
    return table, kept, used

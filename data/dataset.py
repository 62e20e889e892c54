"""A split of a dataset folder as a torchvision dataset."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

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

Keep = Callable[[pd.DataFrame], pd.Series]  # of a split's metadata which rows are used, as bools

log = logging.getLogger(__name__)


class StoredDataset(VisionDataset):
    """The images of one split whose label the mapping knows, as (pixels, class index) pairs.

        root/
          dataset.json
          train_metadata.csv
          train/covid-chestxray-00001.png ...

    Pixels are (1, H, W) uint8 as they lie there; each image is read when it is asked for.

    mapping: label -> class index; several labels may share one. Rows with another label are not
    used: `unused` counts them by label. keep: which rows may be used at all; None: all. `table`
    holds the metadata of the used rows, `targets` their class indices, both in the order of the
    items.
    """

    def __init__(
        self, root: str | Path, split: str, mapping: dict[str, int], keep: Keep | None = None
    ):
        super().__init__(root)
        self._folder = Path(root) / split
        table, kept, used = _read_used(Path(root), split, mapping, keep)
        self.table = table[used].reset_index(drop=True)
        self.unused = Counter(table["label"][kept & ~used])
        self.targets = [mapping[label] for label in self.table["label"]]
        self._names, self._rows = list(table["filename"]), np.flatnonzero(used)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = read_radiograph(self._folder / self.table["filename"][index], "L")
        return torch.from_numpy(np.array(image)[None]), self.targets[index]


class RadiographDataset(StoredDataset):
    """The same at the size at which a network takes them.

    Pixels are (C, H, W) uint8 of the size of `form`, or of the augmentation where it has one. They
    come from one array that all processes share (data.decoded_cache); `progress` wraps the images
    when that is made. InputFormat.normalise makes the network's input of them.

    An item is asked for by its index, or by a Draw of data.sampling, which also says what the
    augmentation is drawn from.

    Raises at construction, not at item 0: a folder that is missing or half written, a split without
    a usable image, a broken image.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        mapping: dict[str, int],
        form: InputFormat,
        augmentation: Augmentation | None = None,
        progress: Callable[[Iterable], Iterable] = iter,
        keep: Keep | None = None,
    ):
        super().__init__(root, split, mapping, keep)
        self.augmentation = augmentation
        self._decode = partial(decode_once, Path(root), split, self._names, form)
        self._file = self._decode(progress)

    @cached_property
    def _pixels(self) -> np.ndarray:
        """All images of the split, (rows of the metadata, C, H, W)."""
        if not self._file.exists():  # deleted since
            self._file = self._decode()
        return np.load(self._file, mmap_mode="r")

    def __getstate__(self) -> dict:
        """A process that gets the dataset opens the array itself: pickled, it would be a copy."""
        return {name: value for name, value in vars(self).items() if name != "_pixels"}

    def __getitem__(self, item: int | Draw) -> tuple[Tensor, int]:
        pixels, targets = self.__getitems__([item])
        return pixels[0], int(targets[0])

    def __getitems__(self, items: Sequence[int | Draw]) -> tuple[Tensor, Tensor]:
        """A batch: (N, C, H, W) uint8 and (N,) int64."""
        draws = [item if isinstance(item, Draw) else Draw(item, (0, 0, item)) for item in items]
        pixels = self._pixels[self._rows[[draw.index for draw in draws]]]
        if self.augmentation:
            pairs = zip(pixels[:, 0], draws, strict=True)
            pixels = np.stack([self.augmentation(image, draw.key) for image, draw in pairs])[
                :, None
            ]
        targets = [self.targets[draw.index] for draw in draws]
        return torch.from_numpy(pixels), torch.tensor(targets)


def load_splits(
    root: str | Path,
    mapping: dict[str, int],
    form: InputFormat,
    augmentation: Augmentation,
    progress: Callable[[Iterable, str], Iterable],
    keep: Keep | None = None,
) -> list[RadiographDataset]:
    """The training split, varied, and the validation split as it is, both at the size of `form`.

    progress: wraps the images that are decoded, under a title. keep: as in RadiographDataset. The
    log says which labels are not used. ValueError for a mapping with a label that the dataset does
    not have.
    """
    check_mapping(mapping, read_about(Path(root))["labels"], str(root))
    sets, varied = [], replace(augmentation, size=form.size)
    fine = form.finer() if augmentation.moves else form
    for split, read, vary in (("train", fine, varied), ("val", form, None)):
        bar = partial(progress, title=f"Decoding {split}")
        images = RadiographDataset(root, split, mapping, read, vary, bar, keep)
        if split == "train" and len(set(images.targets)) == 1:
            raise ValueError(f"{root}: train has images of one class only; expected two or more")
        for label, number in images.unused.items():
            text = "%s: mapping leaves out %s, %s"
            log.info(text, split, label, counted(number, "image"))
        sets.append(images)
    return sets


def read_some(
    folder: Path,
    split: str,
    mapping: dict[str, int],
    form: InputFormat,
    most: int,
    keep: Keep | None = None,
) -> tuple[Tensor, list[int]]:
    """Of the images that RadiographDataset has, `most` at most, evenly through the split.

    (N, C, H, W) uint8 as they are predicted, and their class indices. Nothing is kept on the disk.
    """
    table, _, used = _read_used(folder, split, mapping, keep)
    some = table[used].iloc[:: -(-used.sum() // most)]
    pixels = np.stack([form.read(folder / split / name) for name in some["filename"]])
    return torch.from_numpy(pixels), [mapping[label] for label in some["label"]]


def _read_used(
    folder: Path, split: str, mapping: dict[str, int], keep: Keep | None
) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """A split's metadata; of each row whether it may be used, and whether the mapping also knows
    its label.

    ValueError if it knows none.
    """
    table = read_split(folder, split)
    kept = keep(table) if keep else pd.Series(True, table.index)
    used = kept & table["label"].isin(mapping)
    if not used.any():
        found = ", ".join(sorted(set(table["label"][kept]))) or "no row"
        text = f"{folder}: {split} has {found}; expected an image of {', '.join(mapping)}"
        raise ValueError(text)
    return table, kept, used

"""A user's own films, in class folders or in a table, as a split; nothing is written."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.dataset_folder import COLUMNS, ORIGIN
from data.images.gray import UnreadableImageError
from data.record import Dropped, Record, drop
from data.sources import read
from data.transforms import InputFormat


class RawDataset(Dataset):
    """The films of a source, such as `folder` or `table`, whose labels the mapping has.

    `table`, `targets` and `unused` are as in RadiographDataset, in the sorted order of the files;
    DICOM files have view, sex and age. `dropped` has the films that cannot be read, with the
    reason. All images are held in memory, at the network's size. `progress` wraps them while they
    are read.

    A class may have no film. ValueError if none has, or if no image can be read.
    """

    def __init__(
        self,
        source: str,
        root: str | Path,
        mapping: dict[str, int],
        form: InputFormat,
        progress: Callable[[Iterable], Iterable] = iter,
    ):
        records, self.dropped = read(source, Path(root))
        # A label that is a class of the model is that class, however others spell it.
        records = [replace(r, label=r.finding) if r.finding in mapping else r for r in records]
        self.unused = Counter(r.label for r in records if r.label not in mapping)
        used = [record for record in records if record.label in mapping]
        if not used:
            others = ", ".join(sorted(self.unused))
            raise ValueError(
                f"{root}: found the classes {others}; expected some of {', '.join(mapping)}."
                " Name them as the model does"
            )
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            items = list(progress(threads.map(lambda record: _read(record, form), used)))
        self.dropped += [item for item in items if isinstance(item, Dropped)]
        kept = [item for item in items if not isinstance(item, Dropped)]
        if not kept:
            raise ValueError(f"{root}: no image could be read; the first: {self.dropped[0].reason}")
        records, pixels = zip(*kept, strict=True)
        self._pixels = np.stack(pixels)
        rows = [vars(record) | {"filename": record.original} for record in records]
        known = [name for name in ORIGIN if any(row[name] for row in rows)]
        self.table = pd.DataFrame(rows)[[*COLUMNS, *known]]
        self.targets = [mapping[record.label] for record in records]

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self._pixels[index]), self.targets[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A batch: (N, C, H, W) uint8 and (N,) int64."""
        targets = [self.targets[k] for k in indices]
        return torch.from_numpy(self._pixels[list(indices)]), torch.tensor(targets)


def _read(record: Record, form: InputFormat) -> tuple[Record, np.ndarray] | Dropped:
    try:
        image = form.open(record.path)
    except UnreadableImageError as error:
        return drop(record, str(error).removeprefix(f"{record.path}: "))
    return replace(record, **image.info.get("dicom", {})), form.fit(image)

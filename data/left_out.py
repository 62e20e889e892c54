"""Sources that a training leaves out, so that they are hospitals which the network never saw.

Leave-one-source-out validation: what a network scores there is what it would score elsewhere
(Zech et al., PLOS Medicine 2018; Steyerberg & Harrell, J Clin Epidemiol 2016).
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset

from data.dataset import Keep, RadiographDataset
from data.dataset_folder import read_about, read_split
from data.patients import join_copies
from data.split import SPLITS
from data.transforms import InputFormat
from util.class_names import check_mapping, class_names
from util.words import counted

log = logging.getLogger(__name__)


def is_part_of(source: str, name: str) -> bool:
    """Whether a source is the named one or a part of it, like `covidx-sirm` of `covidx`."""
    return source == name or source.startswith(f"{name}-")


def of_sources(table: pd.DataFrame, names: Collection[str]) -> pd.Series:
    """Which rows of the metadata are of one of the sources, or of a part of one."""
    sources = {s for s in table["source"].unique() if any(is_part_of(s, name) for name in names)}
    return table["source"].isin(sources)


def others(names: Collection[str] | None) -> Keep | None:
    """Which rows a training without the sources keeps; None: all."""
    return partial(_others, names=names) if names else None


def _others(table: pd.DataFrame, names: Collection[str]) -> pd.Series:
    return ~of_sources(table, names)


def learnable(
    folder: Path, mapping: Mapping[str, int], names: Collection[str] | None
) -> dict[str, int]:
    """The mapping without the classes that only the sources left out have in training.

    The log says which these are. ValueError for a name that is not a source of the dataset folder,
    and where no two classes are left.
    """
    if not names:
        return dict(mapping)
    check_mapping(mapping, read_about(folder)["labels"], str(folder))
    train, val = (read_split(folder, split) for split in SPLITS[:2])  # the test split is not read
    known = sorted({*train["source"], *val["source"]})
    if unknown := [name for name in names if not any(is_part_of(s, name) for s in known)]:
        text = f"leave_out: found {unknown[0]}; expected sources of train and val in {folder}"
        raise ValueError(f"{text}, which are {', '.join(known)}")
    labels = set(train["label"][_others(train, names)])
    left = sorted({k for label, k in mapping.items() if label in labels})
    classes = class_names(mapping)
    if len(left) < 2:
        found = classes[left[0]] if left else "no class"
        text = f"leave_out: {folder} without {', '.join(names)} has {found} to train on; expected"
        raise ValueError(f"{text} two classes. Leave out fewer sources")
    if lost := [classes[k] for k in range(len(classes)) if k not in left]:
        text = "leave_out: in train only %s has %s, which the network does not learn"
        log.warning(text, " or ".join(names), " or ".join(lost))
    return {label: left.index(k) for label, k in mapping.items() if k in left}


def check_testable(folder: Path, mapping: Mapping[str, int], name: str) -> None:
    """ValueError unless a network trained without the source can learn, and be tested on it."""
    learned = learnable(folder, mapping, [name])
    found = set().union(*_unseen_labels(folder, [name]).values())
    if not learned.keys() & found:
        has = f"has only {', '.join(sorted(found))}" if found else "has no image of other patients"
        text = f"leave_out: {folder}: {name} {has}; expected an image of"
        raise ValueError(f"{text} {', '.join(learned)}, which are left without it. Skip it")


class LeftOutDataset(ConcatDataset):
    """The images of the sources left out, in whichever split they are; items as elsewhere.

    Without those whose patient, or a copy of whose radiograph, the training or its validation saw
    in another source; the log counts them. `table`, `targets` and `unused` are as in
    RadiographDataset. ValueError where the mapping knows no image.
    """

    def __init__(
        self,
        folder: Path,
        names: Collection[str],
        mapping: dict[str, int],
        form: InputFormat,
        progress: Callable[[Iterable], Iterable] = iter,
    ):
        keep, labels = _unseen(folder, names), _unseen_labels(folder, names)
        parts = [
            RadiographDataset(folder, split, mapping, form, None, progress, keep)
            for split, found in labels.items()
            if found.keys() & mapping.keys()
        ]
        every = sum(labels.values(), Counter())
        if not parts:
            found = f"found only {', '.join(sorted(every))}" if every else "found no image"
            text = f"{folder}: {found} of {', '.join(names)}, which training left out; expected"
            raise ValueError(f"{text} an image of {', '.join(mapping)}. See --split")
        super().__init__(parts)
        self.table = pd.concat([part.table for part in parts], ignore_index=True)
        self.targets = [target for part in parts for target in part.targets]
        self.unused = Counter({label: n for label, n in every.items() if label not in mapping})

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A batch: (N, C, H, W) uint8 and (N,) int64."""
        pixels, targets = zip(*(self[k] for k in indices), strict=True)
        return torch.stack(pixels), torch.tensor(targets)


def _unseen_labels(folder: Path, names: Collection[str]) -> dict[str, Counter[str]]:
    """How many images of each label `_unseen` keeps, by split."""
    keep, tables = _unseen(folder, names), {split: read_split(folder, split) for split in SPLITS}
    return {split: Counter(table["label"][keep(table)]) for split, table in tables.items()}


def _unseen(folder: Path, names: Collection[str]) -> Keep:
    """Which rows of a split are of the sources, and of patients that nothing else has shown."""
    tables = [read_split(folder, split).assign(split=split) for split in SPLITS]
    table = pd.concat(tables, ignore_index=True)
    duplicates = read_about(folder).get("duplicates", ())
    persons = pd.Series(join_copies(table["patient_id"], duplicates))
    left_out = of_sources(table, names)
    known = left_out & persons.isin(persons[~left_out & (table["split"] != "test")])
    if known.any():
        text = "%s: not tested on %s of patients whom training saw in another source"
        log.info(text, ", ".join(names), counted(int(known.sum()), "image"))
    return partial(_named, files=frozenset(table["filename"][left_out & ~known]))


def _named(table: pd.DataFrame, files: Collection[str]) -> pd.Series:
    return table["filename"].isin(files)

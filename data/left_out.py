"""Sources that a training leaves out, so that they are hospitals which the network never saw.

Leave-one-source-out validation: what a network scores there is what it would score elsewhere
(Zech et al., PLOS Medicine 2018; Steyerberg & Harrell, J Clin Epidemiol 2016).
"""

import logging
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from data.dataset import Keep, Part, named
from data.dataset_folder import read_about, read_split
from data.patients import join_copies
from data.split import SPLITS
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
    _, labels = _unseen(folder, [name])
    if not learned.keys() & labels:
        has = f"has only {', '.join(labels)}" if labels else "has no image of other patients"
        text = f"leave_out: {folder}: {name} {has}; expected an image of"
        raise ValueError(f"{text} {', '.join(learned)}, which are left without it. Skip it")


def unseen(folder: Path, names: Collection[str], mapping: Mapping[str, int]) -> Part:
    """The images of the sources left out, in whichever split they are.

    Without those whose patient, or a copy of whose radiograph, the training or its validation saw
    in another source; the log counts them. ValueError where the mapping knows no image.
    """
    part, labels = _unseen(folder, names)
    if not mapping.keys() & labels:
        found = f"found only {', '.join(labels)}" if labels else "found no image"
        text = f"{folder}: {found} of {', '.join(names)}, which training left out; expected"
        raise ValueError(f"{text} an image of {', '.join(mapping)}. See --split")
    return part


def _unseen(folder: Path, names: Collection[str]) -> tuple[Part, list[str]]:
    """The images of the sources whose patients nothing else has shown, and their labels."""
    table = pd.concat({split: read_split(folder, split) for split in SPLITS})
    duplicates = read_about(folder).get("duplicates", ())
    persons = pd.Series(join_copies(table["patient_id"], duplicates), table.index)
    left_out = of_sources(table, names)
    shown = persons[~left_out].loc[list(SPLITS[:2])]
    known = left_out & persons.isin(shown)
    if known.any():
        text = "%s: not tested on %s of patients whom training saw in another source"
        log.info(text, ", ".join(names), counted(int(known.sum()), "image"))
    rows = table[left_out & ~known]
    return Part(SPLITS, named(rows["filename"])), sorted(set(rows["label"]))

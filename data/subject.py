"""The images that a model is evaluated on: a split of a dataset folder, the sources that its
training left out, or a user's own films."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.dataset import RadiographDataset, StoredDataset
from data.dataset_folder import read_about
from data.left_out import unseen
from data.raw_dataset import RawDataset
from data.transforms import InputFormat
from util.class_names import class_names
from util.training.folds import trained_on
from util.words import counted

log = logging.getLogger(__name__)
LEFT_OUT = "left-out"  # in the place of a split: the sources that the training left out
# Why the numbers of a split are too good, where the model was trained on the same dataset.
TOO_GOOD = {
    "train": "The model was trained on these images: the numbers say nothing of new patients.",
    "val": "This split chose the epoch and the temperature: on new patients the model does worse.",
}
STARTED_ELSEWHERE = (
    "What the network started from, or was taught by, learned from other data ({}): where patients"
    " of these are in this split, the numbers are too good."
)


@dataclass(frozen=True)
class Subject:
    """Images, and what is known of where they come from."""

    images: StoredDataset | RawDataset
    folder: Path
    title: str  # names the folder of the results: each set of images has its own
    split: str | None = None  # of a dataset, or LEFT_OUT; None for a user's own films
    about: dict | None = None  # its dataset.json
    own: bool = False  # whether the model was trained on that dataset
    warnings: Sequence[str] = ()  # why the numbers are too good, if they are


def dataset_split(
    folder: Path,
    split: str,
    checkpoint: Mapping[str, Any],
    form: InputFormat | None,
    progress: Callable[[Iterable], Iterable],
) -> Subject:
    """split: also LEFT_OUT. checkpoint: has `mapping`, `fingerprint` and `config`. form: None for a
    model that is not shown the images. progress: wraps the images that are read. ValueError for
    LEFT_OUT where nothing was, or not of this dataset.
    """
    about = read_about(folder)
    own, mapping = checkpoint["fingerprint"] == about["fingerprint"], checkpoint["mapping"]
    part, title = split, split if own else f"{split}-of-{folder.resolve().name}"
    if split == LEFT_OUT:
        names = left_out(checkpoint)
        if not (names and own):
            found = "another dataset than that of the training" if names else "nothing left out"
            raise ValueError(f"{folder}: found {found}; expected train, val or test as --split")
        part = unseen(folder, names, mapping)
        title += f"-{'-'.join(names)}"
    if form:
        images = RadiographDataset(folder, part, mapping, form, None, progress)
    else:
        images = StoredDataset(folder, part, mapping)
    _log_classes(images, mapping)
    seen = "train" if split in trained_on(checkpoint["config"]) else split
    warnings = [TOO_GOOD[seen]] if own and seen in TOO_GOOD else []
    trainings = [checkpoint, *(checkpoint.get("started_from") or ())]
    if own and (before := learned_elsewhere(trainings, about["fingerprint"])):
        warnings.append(STARTED_ELSEWHERE.format(before))
    return Subject(images, folder, title, split, about, own, warnings)


def left_out(checkpoint: Mapping[str, Any]) -> list[str]:
    """The sources that the training of a checkpoint did not see."""
    return checkpoint["config"].get("leave_out") or []


def learned_elsewhere(trainings: Iterable[Mapping[str, Any]], fingerprint: str) -> str:
    """The sources of those trainings that were on other datasets, in words; empty without any.

    trainings: as in `started_from` of a checkpoint; those of their teachers are looked at, too.
    Another dataset may have the same patients, under other names of sources and ids, in another
    split.
    """
    others = [
        each["sources"] for each in with_teachers(trainings) if each["fingerprint"] != fingerprint
    ]
    names = dict.fromkeys(name for sources in others for name in sources or ["unknown sources"])
    return ", ".join(names)


def with_teachers(trainings: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """They, and the trainings that the teachers of each have behind them, and so on."""
    for each in trainings:
        yield each
        yield from with_teachers(each.get("taught_by") or ())


def split_to_test(folder: Path, checkpoint: Mapping[str, Any]) -> str:
    """LEFT_OUT where the training left sources of this dataset out, else test."""
    own = checkpoint["fingerprint"] == read_about(folder)["fingerprint"]
    return LEFT_OUT if own and left_out(checkpoint) else "test"


def own_films(
    source: str,
    place: Path,
    checkpoint: Mapping[str, Any],
    form: InputFormat,
    progress: Callable[[Iterable], Iterable],
) -> Subject:
    """As `dataset_split`; source: `folder` or `table`."""
    images = RawDataset(source, place, checkpoint["mapping"], form, progress)
    for item in images.dropped:
        log.warning("%s: left out: %s", item.original, item.reason)
    _log_classes(images, checkpoint["mapping"])
    return Subject(images, place, f"{source}-{place.resolve().stem}")


def _log_classes(images: StoredDataset | RawDataset, mapping: Mapping[str, int]) -> None:
    """Labels that the model does not know, and classes of the model without an image."""
    for label, number in images.unused.items():
        log.info("%s: not a class of the model, %s", label, counted(number, "image"))
    present = set(images.targets)
    if lacking := [name for k, name in enumerate(class_names(mapping)) if k not in present]:
        text = "no image of %s, which the model knows: evaluated on its other classes"
        log.warning(text, " or ".join(lacking))

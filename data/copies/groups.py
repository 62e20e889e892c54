"""Images that occur more than once: one is kept, or all on one side, and their patients are one."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data.copies.landmarks import BYTES, look
from data.copies.search import clusters, find_duplicates
from data.patients import join_patients
from data.prepare import Prepared

Group = list[int]  # indices in the list of images, ascending
# Names that mean the same in all public sources; those of a user's own folders may mean anything.
KNOWN = {"normal", "pneumonia", "COVID-19", "negative", "positive"}
TOGETHER = ({"positive", "COVID-19"}, {"negative", "normal"}, {"negative", "pneumonia"})


def exact_groups(images: Sequence[Prepared]) -> list[Group]:
    """The images that have the very same pixels, two or more in a group."""
    groups = defaultdict(list)
    for k, image in enumerate(images):
        groups[image.digest].append(k)
    return [group for group in groups.values() if len(group) > 1]


def near_groups(
    images: Sequence[Prepared],
    exact: Sequence[Group],
    folder: Path,
    workers: int = 1,
    progress: Callable[[list], Iterable] = iter,
) -> list[Group]:
    """The images in `folder` that are one radiograph, two or more in a group.

    Of exact copies the first stands for all. workers, progress: as of find_duplicates.
    """
    again = {k for group in exact for k in group[1:]}
    index = [k for k in range(len(images)) if k not in again]
    read = partial(_read, folder, [images[k].filename for k in index])
    marks = np.frombuffer(b"".join(images[k].signature for k in index), np.uint8)
    pairs = find_duplicates(marks.reshape(len(index), -1, BYTES), read, workers, progress)
    return [[index[k] for k in group] for group in clusters(pairs, len(index))]


def _read(folder: Path, names: Sequence[str], k: int) -> Image.Image:
    with Image.open(folder / names[k]) as image:
        return look(image.convert("L"))


def join_groups(images: Sequence[Prepared], groups: Sequence[Group]) -> list[Prepared]:
    """The images, those of a group with one patient: who shares a radiograph shares a split."""
    rows = [(image.record.patient_id, "") for image in images]
    rows += [(rows[k][0], f"group {n}") for n, group in enumerate(groups) for k in group]
    patients = join_patients([patient for patient, _ in rows], [group for _, group in rows])
    return [image.of_patient(patient) for image, patient in zip(images, patients, strict=False)]


def surplus(
    images: Sequence[Prepared], exact: Sequence[Group], near: Sequence[Group]
) -> dict[int, str]:
    """Which images to leave out, and why: index -> reason.

    Of exact copies all but the first; of copies whose labels contradict each other every one.
    """
    reasons = {}
    pairs = [(group[0], k) for group in filter(None, [*exact, *near]) for k in group[1:]]
    for group in clusters(pairs, len(images)):
        records = [images[k].record for k in group]
        if contradict({(record.source, record.label) for record in records}):
            labels = ", ".join(sorted({record.label for record in records}))
            reasons |= dict.fromkeys(group, f"copies of it have the labels {labels}")
    for group in filter(None, exact):
        first = images[group[0]].record
        for k in group[1:]:
            reasons.setdefault(k, f"the same image as {first.source} row {first.row}")
    return reasons


def contradict(named: Collection[tuple[str, str]]) -> bool:
    """Whether no image can be all that (source, label) pairs say: one source means different things
    by different names, several sources by different KNOWN ones. COVIDx has wider names, too."""
    by_source = defaultdict(set)
    for source, label in named:
        by_source[source].add(label)
    said = [*by_source.values(), KNOWN & {label for _, label in named}]
    return any(len(labels) > 1 and not any(labels <= one for one in TOGETHER) for labels in said)


def list_groups(
    images: Sequence[Prepared], exact: Sequence[Group], near: Sequence[Group]
) -> list[dict]:
    """Every group with what is known of its images, for dataset.json."""
    names = ("source", "row", "original", "patient_id", "label")
    return [
        {
            "kind": kind,
            "images": [{name: getattr(images[k].record, name) for name in names} for k in group],
        }
        for kind, groups in (("exact", exact), ("near", near))
        for group in groups
    ]

"""Groups of copies: the images that occur more than once, whose patients are one person."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data.copies.landmarks import BYTES, shrink_for_search
from data.copies.search import connected, find_duplicates
from data.patients import join_patients
from data.prepare import Prepared

Group = list[int]  # indices in the list of images, ascending


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

    Of exact copies only the first is searched. workers, progress: as in find_duplicates.
    """
    again = {k for group in exact for k in group[1:]}
    index = [k for k in range(len(images)) if k not in again]
    read = partial(_read, folder, [images[k].filename for k in index])
    marks = np.frombuffer(b"".join(images[k].signature for k in index), np.uint8)
    pairs = find_duplicates(marks.reshape(len(index), -1, BYTES), read, workers, progress)
    return [[index[k] for k in group] for group in connected(pairs, len(index))]


def all_copies(images: Sequence[Prepared]) -> list[Group]:
    """The images that are one radiograph, exactly or nearly; each has the number of its near
    group."""
    near = defaultdict(list)
    for k, image in enumerate(images):
        near[image.near_group].append(k)
    near.pop(None, None)
    groups = [*exact_groups(images), *near.values()]
    return connected([(group[0], k) for group in groups for k in group[1:]], len(images))


def _read(folder: Path, names: Sequence[str], k: int) -> Image.Image:
    with Image.open(folder / names[k]) as image:
        return shrink_for_search(image.convert("L"))


def join_groups(
    images: Sequence[Prepared], exact: Sequence[Group], near: Sequence[Group]
) -> list[Prepared]:
    """The images, each with the number of its near group, and one patient for each group.

    So whoever shares a radiograph shares a split.
    """
    near_group = {k: number for number, group in enumerate(near) for k in group}
    rows = [(image.record.patient_id, "") for image in images]
    rows += [(rows[k][0], f"group {n}") for n, group in enumerate([*exact, *near]) for k in group]
    patients = join_patients([patient for patient, _ in rows], [group for _, group in rows])
    return [
        replace(image.of_patient(patient), near_group=near_group.get(k))
        for k, (image, patient) in enumerate(zip(images, patients, strict=False))
    ]


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

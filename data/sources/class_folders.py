"""A folder of class folders, as many small collections are published:

    <class>/<image>                      each image counts as a patient of its own
    <class>/<patient>/.../<image>        a folder below the class is a patient, by its name
    <split>/<class>/...                  train/, val/ (valid/, validation/) and test/ are kept

Rows are the files in sorted order; hidden ones are skipped. In the COVID-19 Radiography Database
(Chowdhury et al., IEEE Access 2020, 10.1109/ACCESS.2020.3010287) and the like, images/ and masks/
below a class are not patients: the masks are left out.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from data.record import LABELS, Dropped, Record
from data.sources.tables import Mismatch, own_splits

NAME = "folder"
DESCRIPTION = "a folder of class folders: [split/]class/image, or class/patient/image"
SPLIT_OF = {
    "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
LABEL_OF = {label.lower(): label for label in LABELS}
MOST_CLASSES = 50
NO_PATIENTS = {*SPLIT_OF, *LABEL_OF}  # one as a patient's folder: the folder given is too high


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image below a class folder, and every other file that is not hidden."""
    from data.images.find_images import find_images  # with numpy, which -h need not wait for

    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected {DESCRIPTION}")
    images = set(find_images(folder))
    splits = _splits(folder)
    records, dropped = [], []
    for number, path in enumerate(_files(folder), start=1):
        name = path.relative_to(folder)
        split, label, patient = _place(name, bool(splits))
        if reason := (
            (not label and Mismatch("not in a class folder"))
            or (path not in images and "no image file, by its name")
            or ("masks" in name.parts and "a mask, not a radiograph")
            or (patient.lower() in NO_PATIENTS and Mismatch(f"'{patient}' is no patient's folder"))
        ):
            dropped.append(Dropped(NAME, number, name.as_posix(), label, reason))
            continue
        records.append(
            Record(
                source=NAME,
                row=number,
                path=path,
                label=LABEL_OF.get(label.lower(), label),
                patient_id=f"{NAME}:{patient}",
                finding=label,
                original=name.as_posix(),
                frontal=True,
                splits=splits.get(split, ()),
            )
        )
    labels = {record.label for record in records}
    if len(labels) > MOST_CLASSES:
        raise ValueError(
            f"{folder}: found {len(labels)} class folders; expected {MOST_CLASSES} at most. If they"
            " are patients, give the folder above them"
        )
    return records, dropped


def _splits(folder: Path) -> dict[str, tuple[str, ...]]:
    """The splits that each split folder's images may go to; empty if the folders are classes."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    split = [name for name in names if name.lower() in SPLIT_OF]
    if split and split != names:
        other = next(name for name in names if name not in split)
        raise ValueError(
            f"{folder}: found {split[0]}, a split, beside {other}; expected class folders, or"
            " only train, val and test with the class folders in them. Move the others away"
        )
    return own_splits({SPLIT_OF[name.lower()] for name in split})


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder, sorted, without hidden ones; links are not followed."""
    files = []
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        links = [name for name in below if Path(place, name).is_symlink()]
        files += [Path(place, n) for n in (*names, *links) if not n.startswith(".")]
    yield from sorted(files, key=lambda file: file.parts)  # the same order on Windows


def _place(name: PurePath, split_first: bool) -> tuple[str, str, str]:
    """Split, class and patient of a file by its name; each may be empty."""
    *folders, _ = name.parts
    split = SPLIT_OF[folders.pop(0).lower()] if split_first and folders else ""
    if not folders:
        return split, "", ""
    label, *rest = folders
    patients = [part for part in rest if part not in {"images", "masks"}]
    return split, label, patients[0] if patients else name.as_posix()

"""A folder of class folders, as many small collections are published:

    <class>/<image>                      each image counts as a patient of its own
    <class>/<patient>/.../<image>        a folder below the class is a patient, by its name
    <split>/<class>/...                  train/, val/ (valid/, validation/) and test/ are kept

Rows are the files in sorted order; hidden ones are skipped, links to folders are followed. In the
COVID-19 Radiography Database (Chowdhury et al., IEEE Access 2020, 10.1109/ACCESS.2020.3010287) and
the like, images/ and masks/ below a class are not patients: the masks are left out.
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple, NoReturn

from data.record import Dropped, Record, clean_label, csv_text
from data.sources.tables import Mismatch, own_splits
from util.files import ARCHIVES, require_folder

NAME = "folder"
DESCRIPTION = "a folder of class folders: [split/]class/image, or class/patient/image"
SPLIT_OF = {
    "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
MOST_CLASSES = 50


class Place(NamedTuple):
    """What the folders of a file say; each is empty if there is no such folder."""

    split: str
    label: str
    patient: str


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image below a class folder, and every other file that is not hidden."""
    from data.images.find_images import find_images  # with numpy, which -h need not wait for

    require_folder(folder, f"expected {DESCRIPTION}")
    files, roots = _walk(folder)
    images = {path for root in roots for path in find_images(root)}
    of_images = [path.relative_to(folder) for path in files if path in images]
    splits = _splits(folder, of_images)
    if not splits:
        _check_level(folder, [name.parts[:-1] for name in of_images])
    records, dropped = [], []
    for number, path in enumerate(files, start=1):
        name = path.relative_to(folder)
        original = csv_text(name.as_posix())
        split, label, patient = map(csv_text, _place(name, splits))
        if reason := (
            (original.lower().endswith(ARCHIVES) and Mismatch("an archive; unzip it"))
            or (path not in images and "not an image file")
            or (not label and Mismatch("not in a class folder"))
            or ("masks" in name.parts and "a mask, not a radiograph")
            or (_is_known(patient) and Mismatch(f"'{patient}' is not a patient's folder"))
        ):
            dropped.append(Dropped(NAME, number, original, label, reason))
            continue
        records.append(
            Record(
                source=NAME,
                row=number,
                path=path,
                label=clean_label(label) or label,
                patient_id=f"{NAME}:{patient or original}",
                finding=label,
                original=original,
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


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files below a folder, sorted, without hidden ones; the folder and the links followed.

    A link to a folder is followed unless that folder, one in it or one around it is read anyway:
    then the link itself comes back. OSError for a folder that cannot be listed.
    """
    files, roots, targets = [], [folder], [folder.resolve()]
    for root in roots:
        for place, below, names in os.walk(root, onerror=_raise):
            below[:] = sorted(name for name in below if not name.startswith("."))
            files += [Path(place, name) for name in names if not name.startswith(".")]
            for link in [Path(place, name) for name in below if Path(place, name).is_symlink()]:
                target = link.resolve()
                if any(target.is_relative_to(t) or t.is_relative_to(target) for t in targets):
                    files.append(link)
                else:
                    roots.append(link)
                    targets.append(target)
    return sorted(files, key=lambda file: file.parts), roots  # the same order on Windows


def _raise(error: OSError) -> NoReturn:
    raise error


def _splits(folder: Path, images: Sequence[PurePath]) -> dict[str, tuple[str, ...]]:
    """The splits that each split folder's images may go to; empty if the folders are classes.

    A folder without an image, such as macOS' __MACOSX, is neither.
    """
    names = sorted({name.parts[0] for name in images if len(name.parts) > 1})
    split = [name for name in names if name.lower() in SPLIT_OF]
    if split and split != names:
        other = next(name for name in names if name not in split)
        raise ValueError(
            f"{folder}: found {split[0]}, a split, beside {other}; expected class folders, or"
            " only train, val and test with the class folders in them. Move the others away"
        )
    return own_splits({SPLIT_OF[name.lower()] for name in split})


def _check_level(folder: Path, places: Collection[Sequence[str]]) -> None:
    """ValueError if the classes, or splits, are folders further down.

    places: for each image the folders above it. What is further down are the patients' folders, so
    none should be called like a class, and those of a single class should have numbers.
    """
    places = {place for place in places if place}
    classes = sorted({place[0] for place in places})
    known = sorted(
        (depth, place[:depth], place[depth])
        for place in places
        for depth in range(1, len(place))
        if _is_known(place[depth])
    )
    patients = sorted({"/".join(_below(place)[:1]) for place in places})  # "" for none
    wrapped = len(classes) == 1 and all(patients)
    if known and (wrapped or not any(map(_is_known, classes))):
        _, above, _ = known[0]
        names = ", ".join(sorted({name for _, place, name in known if place == above}))
        raise ValueError(
            f"{folder}: found {names} in {'/'.join(above)}; expected {DESCRIPTION}. Give"
            f" {folder.joinpath(*above)}"
        )
    numbered = len(patients) > 1 and any(map(str.isdigit, "".join(patients)))
    if wrapped and not _is_known(classes[0]) and not numbered:
        raise ValueError(
            f"{folder}: found one class folder, {classes[0]}, and in it only the folders"
            f" {', '.join(patients[:5])}; expected several classes. If these are the classes, give"
            f" {folder / classes[0]}; if they are patients, name them by numbers"
        )


def _place(name: PurePath, splits: Collection[str]) -> Place:
    """Where a file belongs, by its name."""
    *folders, _ = name.parts
    split = SPLIT_OF.get(folders.pop(0).lower(), "") if splits and folders else ""
    if not folders or (splits and not split):
        return Place(split, "", "")
    return Place(split, folders[0], "".join(_below(folders)[:1]))


def _below(folders: Sequence[str]) -> list[str]:
    """The folders below that of the class."""
    return [name for name in folders[1:] if name not in {"images", "masks"}]


def _is_known(name: str) -> bool:
    """Whether it is the name of a split or a class, and so not of a patient."""
    return name.lower() in SPLIT_OF or clean_label(name) is not None

"""Chest X-ray images of children: Kermany et al., Cell 2018, 10.1016/j.cell.2018.02.010.

    train/ test/ val/    only Kaggle's copy has val/, with 16 images
        NORMAL/          IM-0115-0001.jpeg, NORMAL2-IM-0381-0001.jpeg
        PNEUMONIA/       person1_virus_6.jpeg, person1_bacteria_1.jpeg

In version 3 a name is NORMAL-1049278-0001.jpeg. The first number of a name is the patient. Bacteria
and viruses are numbered apart, so that `person1` may be two children; they count as one. Since
these numbers are in both train/ and test/, the source's own split is not kept.

Rows are the files of the class folders, sorted; hidden ones are skipped.
"""

import logging
import re
from pathlib import Path

from data.record import Dropped, Record, csv_text
from data.sources.tables import Mismatch, require, visible_files
from util.words import counted

NAME = "kermany"
DESCRIPTION = "data.mendeley.com/datasets/rscbjbr9sj, children: train/ test/ of NORMAL/ PNEUMONIA/"
LABEL_OF = {"NORMAL": "normal", "PNEUMONIA": "pneumonia"}
PATIENT = re.compile(r"(person|IM-|-)[0-9]+")
HOSPITAL, COUNTRY = "Guangzhou Women and Children's Medical Center", "China"
AGES = "1-5"  # years, of all; nothing tells the age of one

log = logging.getLogger(__name__)


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image, and every file whose name is not one of the source."""
    splits = [require(folder, name, "Kermany's data set") for name in ("train", "test")]
    if (folder / "val").is_dir():
        splits.append(folder / "val")
    places = [require(split, name, "Kermany's data set") for split in splits for name in LABEL_OF]
    files = [path for place in places for path in visible_files(place)]
    records, dropped = [], []
    for number, path in enumerate(files, start=1):
        original, finding = csv_text(path.relative_to(folder).as_posix()), path.parent.name
        patient = PATIENT.search(path.name)
        if not patient:
            reason = Mismatch(f"'{csv_text(path.name)}' does not name a patient")
            dropped.append(Dropped(NAME, number, original, finding, reason))
            continue
        records.append(
            Record(
                source=NAME,
                row=number,
                path=path,
                label=LABEL_OF[finding],
                patient_id=f"{NAME}:{patient[0].strip('-')}",
                finding=finding,
                original=original,
                view="AP",
                age=AGES,
                frontal=True,
                hospital=HOSPITAL,
                country=COUNTRY,
                licence="CC BY 4.0",
            )
        )
    warn_of_children(NAME, len(records))
    return records, dropped


def warn_of_children(source: str, images: int) -> None:
    if images:
        log.warning(
            "%s: %s of children of 1 to 5 years. Among adults, a network may learn the age in place"
            " of the disease",
            source, counted(images, "image"),
        )  # fmt: skip

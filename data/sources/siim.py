"""SIIM-FISABIO-RSNA COVID-19 Detection: Lakhani et al., J Digit Imaging 2022, s10278-022-00706-8.

    train_study_level.csv    id (<study>_study) and one column for each class, one-hot
    train_image_level.csv    id (<image>_image), boxes, label, StudyInstanceUID
    train/<study>/<series>/<image>.dcm

The rows are those of train_image_level.csv; all images of a study have its class. `Negative for
Pneumonia` means neither a negative PCR test nor a normal chest: the labels are the source's own
four.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data.patients import join_patients
from data.record import Dropped, Record
from data.sources.tables import Mismatch, read_rows, require

NAME = "siim"
DESCRIPTION = "kaggle.com/c/siim-covid19-detection: both training CSVs, train/ with DICOM images"
LABELS = (
    "Negative for Pneumonia", "Typical Appearance", "Indeterminate Appearance",
    "Atypical Appearance",
)  # fmt: skip

log = logging.getLogger(__name__)


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image of a study with one class, and every other row of the image table."""
    source = "the SIIM-FISABIO-RSNA COVID-19 Detection challenge"
    studies = require(folder, "train_study_level.csv", source)
    table = require(folder, "train_image_level.csv", source)
    images = require(folder, "train", source)
    classes = _classes(studies)
    # Names of the table are only looked up here; no path is made of them.
    files = {(path.parts[-3], path.stem): path for path in sorted(images.glob("*/*/*.dcm"))}
    rows = read_rows(table, ["id", "studyinstanceuid"])
    records, dropped, first = [], [], {}
    for number, row in enumerate(rows, start=1):
        image, study = row["id"].removesuffix("_image"), row["studyinstanceuid"]
        labels, path = classes.get(study, []), files.get((study, image))
        if reason := (
            (study not in classes and Mismatch(f"study '{study}' is not in {studies.name}"))
            or (len(labels) != 1 and Mismatch(f"its study has {len(labels)} classes, not one"))
            or (path is None and Mismatch(f"no file train/{study}/*/{image}.dcm"))
            or (path in first and f"the same file as row {first[path]}")
        ):
            original = f"train/{study}/*/{image}.dcm"
            dropped.append(Dropped(NAME, number, original, ", ".join(labels), reason))
            continue
        first[path] = number
        records.append(
            Record(
                source=NAME,
                row=number,
                path=path,
                label=labels[0],
                patient_id=f"{NAME}:study {study}",
                finding=labels[0],
                original=path.relative_to(folder).as_posix(),
                frontal=True,
            )
        )
    if without_image := classes.keys() - {row["studyinstanceuid"] for row in rows}:
        counts = (len(without_image), len(classes))
        log.warning("siim: %s has no image for %d of %d studies of %s", table, *counts, studies)
    return _with_patients(records), dropped


def _classes(table: Path) -> dict[str, list[str]]:
    """Study -> the classes that its rows set to 1, in the order of LABELS."""
    columns = {label: label.lower().replace(" ", "_") for label in LABELS}
    classes: dict[str, set[str]] = {}
    for row in read_rows(table, ["id", *columns.values()]):
        labels = {label for label, column in columns.items() if row[column] in {"1", "1.0"}}
        classes.setdefault(row["id"].removesuffix("_study"), set()).update(labels)
    return {study: sorted(labels, key=LABELS.index) for study, labels in classes.items()}


def _with_patients(records: Sequence[Record]) -> list[Record]:
    """The records with the DICOM PatientID; all images of a study have one patient."""
    from data.images.dicom import read_patient_id  # pydicom takes 0.3 s, which -h need not wait for

    ids = [read_patient_id(record.path) for record in records]
    ids = [f"{NAME}:{k}" if k else r.patient_id for k, r in zip(ids, records, strict=True)]
    patients = join_patients(ids, [record.path.parts[-3] for record in records])
    return [replace(r, patient_id=k) for r, k in zip(records, patients, strict=True)]

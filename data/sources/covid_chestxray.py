"""covid-chestxray-dataset: Cohen et al., COVID-19 Image Data Collection, arXiv:2006.11988.

metadata.csv    one row per image; read by column name, so that every generation of it fits
images/         jpg and png of every mode
volumes/        CT, left out
"""

import re
from collections import defaultdict
from pathlib import Path

from data.patients import join_patients
from data.record import Dropped, Record, clean_age, clean_sex, clean_view
from data.sources.tables import Mismatch, find_file, read_rows, require

NAME = "covid-chestxray"
DESCRIPTION = "github.com/ieee8023/covid-chestxray-dataset: metadata.csv, images/"

# What the flat findings of the first half of 2020 call a pneumonia without saying so.
PNEUMONIAS = {
    "pneumonia", "ards", "sars", "mers", "mers-cov", "influenza", "varicella", "lipoid",
    "bacterial", "streptococcus", "pneumocystis", "klebsiella", "legionella", "e.coli",
    "chlamydophila", "mycoplasma bacterial pneumonia",
}  # fmt: skip
OTHERS = {"tuberculosis", "unknown", "todo", "no finding", ""}


def label_of(finding: str) -> str | None:
    """The label of a finding, flat (`COVID-19, ARDS`) or a path (`Pneumonia/Viral/COVID-19`).

    None for any other finding: tuberculosis, unknown, todo, blank.
    """
    parts = _parts(finding)
    if "covid-19" in parts:
        return "COVID-19"
    if parts & PNEUMONIAS:
        return "pneumonia"
    return "normal" if parts == {"no finding"} else None


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """Every usable radiograph, each file once, and every other row with its reason."""
    table = require(folder, "metadata.csv", "covid-chestxray-dataset")
    images = require(folder, "images", "covid-chestxray-dataset")
    rows = read_rows(table, ["patientid", "finding", "view", "filename"])
    files = [row["filename"] for row in rows]
    ids = [row["patientid"] or f"file {name}" for row, name in zip(rows, files, strict=True)]
    patients = join_patients(ids, files)
    labels = defaultdict(set)
    for row in rows:
        labels[row["filename"]].add(label_of(row["finding"]))
    records, dropped, first = [], [], {}
    for number, row in enumerate(rows, start=1):
        name, finding, label = row["filename"], row["finding"], label_of(row["finding"])
        path, missing = find_file(images, name)
        if reason := (
            _not_a_radiograph(row)
            or (label is None and _other(finding))
            or missing
            or (len(labels[name]) > 1 and "rows disagree on this file's finding")
            or (name in first and f"the same file as row {first[name]}")
        ):
            dropped.append(Dropped(NAME, number, f"images/{name}", finding, reason))
            continue
        first[name] = number
        records.append(
            Record(
                source=NAME,
                row=number,
                path=path,
                label=label,
                patient_id=f"{NAME}:{patients[number - 1]}",
                finding=finding,
                original=f"images/{name}",
                view=clean_view(row["view"]),
                sex=clean_sex(row.get("sex", "")),
                age=clean_age(row.get("age", "")),
            )
        )
    return records, dropped


def _parts(finding: str) -> set[str]:
    return {part.strip().lower() for part in re.split(r"[/,]", finding)}


def _other(finding: str) -> str:
    reason = f"finding '{finding}' is not normal, pneumonia or COVID-19"
    return reason if _parts(finding) <= OTHERS else Mismatch(reason)


def _not_a_radiograph(row: dict[str, str]) -> str | None:
    """Why a row is not an X-ray image; the first tables have no `modality` and no `folder`."""
    if row.get("folder") == "volumes":
        return "a volume, not a radiograph"
    slices = {"axial", "coronal", "sagittal", "ct"}
    if row.get("modality", "").upper() == "CT" or row["view"].lower() in slices:
        return "CT, not a radiograph"
    return None

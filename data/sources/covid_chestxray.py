"""covid-chestxray-dataset: Cohen et al., COVID-19 Image Data Collection, arXiv:2006.11988.

metadata.csv    one row per image; read by column name, so that every generation of it fits
images/         jpg and png of every mode
volumes/        CT, left out
"""

import logging
import re
from collections import Counter, defaultdict
from pathlib import Path

from data.patients import join_equal_numbers, join_patients
from data.record import Dropped, Record, bare, clean_label
from data.sources.tables import Mismatch, find_file, read_rows, require, view_and_person
from util.words import counted

NAME = "covid-chestxray"
DESCRIPTION = "github.com/ieee8023/covid-chestxray-dataset: metadata.csv, images/"

log = logging.getLogger(__name__)

# As `bare` leaves them: what the flat findings of the first half of 2020 call a pneumonia without
# saying so, and what else the later paths have below Pneumonia.
PNEUMONIAS = {
    "pneumonia", "ards", "sars", "sarscov", "mers", "merscov", "influenza", "varicella", "lipoid",
    "bacterial", "streptococcus", "pneumocystis", "klebsiella", "legionella", "ecoli",
    "chlamydophila", "mycoplasmabacterialpneumonia",
}  # fmt: skip
PARTS = {
    "viral", "fungal", "herpes", "h1n1", "aspergillosis", "aspiration", "mycoplasma", "nocardia",
    "staphylococcus", "mrsa",
}  # fmt: skip
OTHERS = {"tuberculosis", "unknown", "todo", "nofinding", ""}


def label_of(finding: str) -> str | None:
    """The label of a finding, flat (`COVID-19, ARDS`) or a path (`Pneumonia/Viral/COVID-19`).

    Spellings of one name are alike, see `clean_label`. None for any other finding: tuberculosis,
    unknown, todo, blank.
    """
    parts = _parts(finding)
    labels = {clean_label(part) for part in parts}
    if "COVID-19" in labels:
        return "COVID-19"
    if parts & PNEUMONIAS:
        return "pneumonia"
    return "normal" if labels == {"normal"} else None


def why_no_label(finding: str) -> str:
    """The reason to leave out a finding for which `label_of` has no label."""
    reason = f"finding '{finding}' is not normal, pneumonia or COVID-19"
    return reason if _parts(finding) <= OTHERS else Mismatch(reason)


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """Every usable radiograph, each file once, and every other row with its reason."""
    table = require(folder, "metadata.csv", "covid-chestxray-dataset")
    images = require(folder, "images", "covid-chestxray-dataset")
    rows = read_rows(table, ["patientid", "finding", "view", "filename"])
    files = [row["filename"] for row in rows]
    ids = [row["patientid"] or f"file {name}" for row, name in zip(rows, files, strict=True)]
    patients = join_patients(join_equal_numbers(ids, str(table)), files)
    labels = defaultdict(set)
    for row in rows:
        labels[row["filename"]].add(label_of(row["finding"]))
    records, dropped, first = [], [], {}
    for number, row in enumerate(rows, start=1):
        name, finding, label = row["filename"], row["finding"], label_of(row["finding"])
        path, missing = find_file(images, name)
        if reason := (
            _not_a_radiograph(row)
            or (label is None and why_no_label(finding))
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
                **view_and_person(row),
            )
        )
    _warn_of_unknown(Counter(record.finding for record in records))
    return records, dropped


def _parts(finding: str) -> set[str]:
    return {bare(part) for part in re.split(r"[/,;|]", finding)}


def _warn_of_unknown(findings: Counter[str]) -> None:
    """A finding that is pneumonia only by the names before its last one may be misspelt."""
    for finding, images in findings.items():
        leaf = bare(re.split(r"[/,;|]", finding)[-1])
        if label_of(finding) == "pneumonia" and leaf not in PNEUMONIAS | PARTS:
            text = "%s: finding '%s' of %s is not known and counts as pneumonia"
            log.warning(text, NAME, finding, counted(images, "image"))


def _not_a_radiograph(row: dict[str, str]) -> str | None:
    """Why a row is not an X-ray image; the first tables have no `modality` and no `folder`."""
    if row.get("folder") == "volumes":
        return "a volume, not a radiograph"
    slices = {"axial", "coronal", "sagittal", "ct"}
    if row.get("modality", "").upper() == "CT" or row["view"].lower() in slices:
        return "CT, not a radiograph"
    return None

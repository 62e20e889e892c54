"""Figure 1 COVID-19 Chest X-ray Dataset Initiative: github.com/agchung. Uploads of physicians.

    metadata.csv              one row per image
    images/<patientid>.jpg    or .png

The table does not name the files. A patient with several images has a row for each, and a letter
after the id: COVID-00013a, COVID-00013b. Most rows have no view; COVIDx takes all of them as
frontal.
"""

import re
from pathlib import Path

from data.record import Dropped, Record
from data.sources.covid_chestxray import label_of, why_no_label
from data.sources.tables import each_file_once, find_file, read_rows, require, view_and_person

NAME = "figure1"
DESCRIPTION = "github.com/agchung/Figure1-COVID-chestxray-dataset: metadata.csv, images/"
SUFFIXES = (".jpg", ".jpeg", ".png")


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image with a finding, and every other row."""
    table = require(folder, "metadata.csv", "Figure1-COVID-chestxray-dataset")
    images = require(folder, "images", "Figure1-COVID-chestxray-dataset")
    rows = read_rows(table, ["patientid", "finding", "view"])
    return each_file_once(_sort(number, row, images) for number, row in enumerate(rows, start=1))


def _sort(number: int, row: dict[str, str], images: Path) -> Record | Dropped:
    finding, image = row["finding"], row["patientid"]
    label = label_of(finding)
    tried = [find_file(images, image and f"{image}{suffix}") for suffix in SUFFIXES]
    path, missing = next((found for found in tried if found[0]), tried[0])
    if reason := (label is None and why_no_label(finding)) or missing:
        return Dropped(NAME, number, f"images/{image}", finding, reason)
    return Record(
        source=NAME,
        row=number,
        path=path,
        label=label,
        patient_id=f"{NAME}:{re.sub(r'(?<=[0-9])[a-z]$', '', image)}",
        finding=finding,
        original=f"images/{path.name}",
        **view_and_person(row),
        frontal=True,
        licence="research only",
    )

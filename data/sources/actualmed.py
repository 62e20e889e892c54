"""Actualmed COVID-19 Chest X-ray Dataset Initiative: github.com/agchung.

    metadata.csv    one row per image
    images/         RGB PNG, about 2,500 pixels

One hospital with both classes. `No finding` means that COVID-19 was excluded, and another disease
was not: the label is `negative`, which COVIDx uses in the same sense. A blank finding is an
inconclusive one. The finding is that of the image: a patient may have both.
"""

from pathlib import Path

from data.record import Dropped, Record, clean_label
from data.sources.covid_chestxray import why_no_label
from data.sources.tables import each_file_once, find_file, read_rows, require, view_and_person

NAME = "actualmed"
DESCRIPTION = "github.com/agchung/Actualmed-COVID-chestxray-dataset: metadata.csv, images/"
LABEL_OF = {"COVID-19": "COVID-19", "normal": "negative"}  # of what `clean_label` finds


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image with a conclusive finding, and every other row."""
    table = require(folder, "metadata.csv", "Actualmed-COVID-chestxray-dataset")
    images = require(folder, "images", "Actualmed-COVID-chestxray-dataset")
    rows = read_rows(table, ["patientid", "finding", "view", "imagename"])
    return each_file_once(_sort(number, row, images) for number, row in enumerate(rows, start=1))


def _sort(number: int, row: dict[str, str], images: Path) -> Record | Dropped:
    finding, image = row["finding"], row["imagename"]
    label = LABEL_OF.get(clean_label(finding))
    path, missing = find_file(images, image)
    if reason := (label is None and why_no_label(finding)) or missing:
        return Dropped(NAME, number, f"images/{image}", finding, reason)
    return Record(
        source=NAME,
        row=number,
        path=path,
        label=label,
        patient_id=f"{NAME}:{row['patientid'] or f'file {image}'}",
        finding=finding,
        original=f"images/{image}",
        **view_and_person(row),
        country="Spain",
        licence="research only",
    )

"""COVID-CXNet: Haghanifar et al., arXiv:2006.13807. Frontal images of published case reports.

    metadata.csv                  one row per image; begins with a byte order mark
    chest_xray_images/covid19/    jpg, jpeg, jfif, png, webp

The folder has more images than the table. Those without a row are not read: they are copies from
covid-chestxray-dataset and from Hannover, without a patient. Of the others some are also in
covid-chestxray-dataset; the search for near copies joins their patients. A negative PCR test is
one of several tests of a patient with COVID-19.
"""

import logging
from pathlib import Path

from data.record import Dropped, Record
from data.sources.covid_chestxray import label_of, why_no_label
from data.sources.tables import (
    each_file_once,
    find_file,
    read_rows,
    require,
    view_and_person,
    visible_files,
)
from util.words import counted

NAME = "covid-cxnet"
DESCRIPTION = "github.com/armiro/COVID-CXNet: metadata.csv, chest_xray_images/covid19/"
IMAGES = "chest_xray_images/covid19"
SPELLINGS = {"US": "USA"}  # as other sources name the country

log = logging.getLogger(__name__)


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per row with a label and an image, and every other row."""
    table = require(folder, "metadata.csv", "COVID-CXNet")
    images = require(folder, IMAGES, "COVID-CXNet")
    rows = read_rows(table, ["filename", "patient_id", "label"])
    listed = {row["filename"] for row in rows}
    if unlisted := [path for path in visible_files(images) if path.name not in listed]:
        text = "covid-cxnet: %s in %s without a row in %s; they are not read"
        log.warning(text, counted(len(unlisted), "file"), images, table.name)
    return each_file_once(_sort(number, row, images) for number, row in enumerate(rows, start=1))


def _sort(number: int, row: dict[str, str], images: Path) -> Record | Dropped:
    finding, image = row["label"], row["filename"]
    label = label_of(finding)
    path, missing = find_file(images, image)
    if reason := (label is None and why_no_label(finding)) or missing:
        return Dropped(NAME, number, f"{IMAGES}/{image}", finding, reason)
    country = row.get("location", "")
    return Record(
        source=NAME,
        row=number,
        path=path,
        label=label,
        patient_id=f"{NAME}:{row['patient_id'] or f'file {image}'}",
        finding=finding,
        original=f"{IMAGES}/{image}",
        **view_and_person(row),
        frontal=True,
        country=SPELLINGS.get(country, country),
    )

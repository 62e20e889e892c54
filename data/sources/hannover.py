"""covid-19-image-repository, Hannover: Winther et al., 10.6084/m9.figshare.12275009.

    data.csv              one row per image, all of patients with COVID-19
    png/<image_id>.png    8 bit, 640 pixels wide

The same images are in covid-chestxray-dataset, COVID-CXNet and the COVID-19 Radiography Database
under other names, some cropped. The search for near copies joins their patients.
"""

from pathlib import Path

from data.record import Dropped, Record, clean_age, clean_sex, clean_view
from data.sources.tables import each_file_once, find_file, read_rows, require

NAME = "hannover"
DESCRIPTION = "github.com/ml-workgroup/covid-19-image-repository: data.csv, png/"
FINDING = "COVID-19"  # for which a patient was admitted; the table has no such column


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image, and every other row of the table."""
    table = require(folder, "data.csv", "covid-19-image-repository")
    images = require(folder, "png", "covid-19-image-repository")
    rows = read_rows(table, ["patient_id", "image_id", "projection"])
    return each_file_once(_sort(number, row, images) for number, row in enumerate(rows, start=1))


def _sort(number: int, row: dict[str, str], images: Path) -> Record | Dropped:
    image = row["image_id"] and f"{row['image_id']}.png"
    path, missing = find_file(images, image)
    original = f"png/{image}"
    if missing:
        return Dropped(NAME, number, original, FINDING, missing)
    sex = row.get("sex", "")
    return Record(
        source=NAME,
        row=number,
        path=path,
        label="COVID-19",
        patient_id=f"{NAME}:{row['patient_id'] or f'file {image}'}",
        finding=FINDING,
        original=original,
        view=clean_view(row["projection"]),
        sex="F" if sex.lower() == "w" else clean_sex(sex),  # weiblich
        age=clean_age(row.get("age", "")),
        hospital="Hannover Medical School",
        country="Germany",
        licence="CC BY 3.0",
    )

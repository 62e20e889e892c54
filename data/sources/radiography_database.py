"""COVID-19 Radiography Database: Rahman et al., 10.1016/j.compbiomed.2021.104319; on Kaggle.

    COVID/images/COVID-1.png      299 pixels, squashed; a class folder also has masks/, which are
    Normal/images/                not read, as the tables <class>.metadata.xlsx: these name wrong
    Lung_Opacity/images/          files for a part of Normal
    Viral Pneumonia/images/

It is a mixture, and the number in a file's name tells where the image is from. `source` names that
origin, so that it does not look as if one place had all classes:

    mixed-radiography       COVID 1 - 1893: case reports, Hannover, Valencia
    valencia-radiography    COVID from 1894: BIMCV-COVID19+, hospitals of the Valencia region
    rsna-radiography        all Lung_Opacity and most of Normal: RSNA's challenge, which is NIH's
    kermany-radiography     Normal 63 - 1403 and all Viral Pneumonia: Kermany's children

Nothing tells the patients. Rows are the files of images/, class by class.
"""

import logging
import re
from pathlib import Path

from data.record import Dropped, Record, csv_text
from data.sources.kermany import AGES, COUNTRY, HOSPITAL, warn_of_children
from data.sources.tables import Mismatch, require, visible_files
from util.words import counted

NAME = "radiography-database"
DESCRIPTION = "kaggle.com/datasets/tawsifurrahman/covid19-radiography-database: COVID/images/ ..."
LABEL_OF = {
    "COVID": "COVID-19", "Normal": "normal", "Lung_Opacity": "pneumonia",
    "Viral Pneumonia": "pneumonia",
}  # fmt: skip
CHILDREN = "kermany-radiography"
ABOUT = {  # an origin's hospital, country and ages
    "mixed-radiography": ("", "", ""),
    "valencia-radiography": ("BIMCV-COVID19+ (11 hospitals of the Valencia region)", "Spain", ""),
    "rsna-radiography": ("NIH Clinical Center, Bethesda", "USA", ""),
    CHILDREN: (HOSPITAL, COUNTRY, AGES),
}

log = logging.getLogger(__name__)


def origin(finding: str, number: int) -> str:
    """The source of the image of that number in a class folder."""
    if finding == "COVID":
        return "mixed-radiography" if number <= 1893 else "valencia-radiography"
    if finding == "Viral Pneumonia" or (finding == "Normal" and 63 <= number <= 1403):
        return CHILDREN
    return "rsna-radiography"


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image, and every file in images/ whose name is not one of the source."""
    places = {
        finding: require(folder, f"{finding}/images", "the COVID-19 Radiography Database")
        for finding in LABEL_OF
    }
    files = [(name, path) for name in places for path in visible_files(places[name])]
    records, dropped = [], []
    for row, (finding, path) in enumerate(files, start=1):
        original = csv_text(path.relative_to(folder).as_posix())
        number = re.fullmatch(rf"{finding}-([0-9]{{1,9}})\.png", path.name)
        if not number:
            reason = Mismatch(f"'{csv_text(path.name)}' is not {finding}-<number>.png")
            dropped.append(Dropped(NAME, row, original, finding, reason))
            continue
        source = origin(finding, int(number[1]))
        hospital, country, age = ABOUT[source]
        records.append(
            Record(
                source=source,
                row=row,
                path=path,
                label=LABEL_OF[finding],
                patient_id=f"{NAME}:{path.stem}",
                finding=finding,
                original=original,
                age=age,
                frontal=True,
                hospital=hospital,
                country=country,
            )
        )
    log.warning(
        "%s: the patients are not known; each of %s counts as a patient of its own, so that one"
        " patient may be in two splits",
        NAME, counted(len(records), "image"),
    )  # fmt: skip
    warn_of_children(NAME, sum(record.source == CHILDREN for record in records))
    return records, dropped

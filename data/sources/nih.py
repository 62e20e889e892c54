"""NIH ChestX-ray14: Wang et al., CVPR 2017, arXiv:1705.02315.

    Data_Entry_2017_v2020.csv            or Data_Entry_2017.csv: one row per image
    images_001/images/ ... images_012/   or images/; PNG, 1024 pixels, a few RGBA

The findings are mined from the text of reports. `No Finding` is normal and a list with `Pneumonia`
is pneumonia. Infiltration and consolidation may be a pneumonia or something else: such images are
left out, as all others.

RSNA's challenge has images of the same patients, so a `patient_id` is that of data.sources.rsna.
"""

import re
from pathlib import Path

from data.record import Dropped, Record, clean_age, clean_sex, clean_view
from data.sources.rsna import NAME as RSNA
from data.sources.tables import Mismatch, each_file_once, read_rows, require

NAME = "nih"
DESCRIPTION = "nihcc.app.box.com/v/ChestXray-NIHCC or Kaggle: Data_Entry_2017*.csv, images*/"
OTHERS = {
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis",
    "Hernia", "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumothorax",
}  # fmt: skip
IMAGE = re.compile(r"([0-9]{8})_[0-9]{3}\.png")  # patient, follow-up


def label_of(finding: str) -> str | None:
    """The label of `No Finding` or of a list such as `Edema|Pneumonia`; None for other lists."""
    if finding == "No Finding":
        return "normal"
    return "pneumonia" if "Pneumonia" in finding.split("|") else None


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per normal or pneumonia image, and every other row."""
    newest = max(folder.glob("Data_Entry_2017*.csv"), default=None)
    table = newest or require(folder, "Data_Entry_2017_v2020.csv", "NIH ChestX-ray14")
    # Names of the table are only looked up here; no path is made of them.
    places = ("images*/*/*.png", "images*/*.png", "*.png")
    files = {path.name: path for place in places for path in sorted(folder.glob(place))}
    rows = read_rows(table, ["image_index", "finding_labels"])
    return each_file_once(
        _sort(number, row, files, folder) for number, row in enumerate(rows, start=1)
    )


def _sort(
    number: int, row: dict[str, str], files: dict[str, Path], folder: Path
) -> Record | Dropped:
    image, finding = row["image_index"], row["finding_labels"]
    label, name, path = label_of(finding), IMAGE.fullmatch(image), files.get(image)
    if reason := (
        (label is None and _why_no_label(finding))
        or (name is None and Mismatch(f"'{image}' does not name an NIH image"))
        or (path is None and Mismatch(f"no file {image} in images*/"))
    ):
        return Dropped(NAME, number, image, finding, reason)
    return Record(
        source=NAME,
        row=number,
        path=path,
        label=label,
        patient_id=f"{RSNA}:{name[1]}",
        finding=finding,
        original=path.relative_to(folder).as_posix(),
        view=clean_view(row.get("view_position", "")),
        sex=clean_sex(row.get("patient_sex") or row.get("patient_gender", "")),
        age=clean_age(row.get("patient_age", "")),
        frontal=True,
        hospital="NIH Clinical Center, Bethesda",
        country="USA",
        licence="NIH: no restrictions, attribution asked",
    )


def _why_no_label(finding: str) -> str:
    reason = f"finding '{finding}' is neither normal nor pneumonia"
    return reason if set(finding.split("|")) <= OTHERS else Mismatch(reason)

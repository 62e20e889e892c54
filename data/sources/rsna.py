"""RSNA Pneumonia Detection Challenge, stage 2: Shih et al., Radiology: AI 2019, ryai.2019180041.

    stage_2_detailed_class_info.csv                  patientId,class
    stage_2_train_labels.csv                         patientId,x,y,width,height,Target
    stage_2_train_images/<patientId>.dcm
    pneumonia-challenge-dataset-mappings_2018.json   NIH image, and so patient, of each

Both tables have one row per box. A `patientId` is an image id: the images are NIH ChestX-ray14's,
where patients repeat.
"""

import json
import logging
from collections import defaultdict
from pathlib import Path

from data.record import Dropped, Record
from data.sources.tables import Mismatch, find_file, read_rows, require
from util.words import counted

NAME = "rsna"
DESCRIPTION = "kaggle.com/c/rsna-pneumonia-detection-challenge, stage 2: the CSVs and DICOM images"
MAPPING = "pneumonia-challenge-dataset-mappings_2018.json"
LABEL_OF = {"Normal": "normal", "Lung Opacity": "pneumonia"}
THIRD_CLASS = "No Lung Opacity / Not Normal"

log = logging.getLogger(__name__)


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per normal or pneumonia image, and every other row of the class table."""
    source = "the RSNA Pneumonia Detection Challenge"
    classes = require(folder, "stage_2_detailed_class_info.csv", source)
    boxes = require(folder, "stage_2_train_labels.csv", source)
    images = require(folder, "stage_2_train_images", source)
    opaque: dict[str, bool] = {}
    for row in read_rows(boxes, ["patientid", "target"]):
        opaque[row["patientid"]] = opaque.get(row["patientid"], False) or row["target"] == "1"
    rows = read_rows(classes, ["patientid", "class"])
    findings = defaultdict(set)
    for row in rows:
        findings[row["patientid"]].add(row["class"])
    patients = nih_patients(folder / MAPPING)
    records, dropped, first = [], [], {}
    for number, row in enumerate(rows, start=1):
        image, finding = row["patientid"], row["class"]
        original = f"{images.name}/{image}.dcm"
        path, missing = find_file(images, f"{image}.dcm")
        if reason := (
            (image in first and f"a further box of the image in row {first[image]}")
            or (finding == THIRD_CLASS and f"class '{finding}' is neither normal nor pneumonia")
            or (finding not in LABEL_OF and Mismatch(f"class '{finding}' is none of RSNA"))
            or missing
            or (len(findings[image]) > 1 and Mismatch("rows disagree on this image's class"))
            or (image not in opaque and Mismatch(f"not in {boxes.name}"))
            or ((finding == "Lung Opacity") != opaque[image] and Mismatch("the two CSVs disagree"))
        ):
            dropped.append(Dropped(NAME, number, original, finding, reason))
        else:
            records.append(
                Record(
                    source=NAME,
                    row=number,
                    path=path,
                    label=LABEL_OF[finding],
                    patient_id=f"{NAME}:{patients.get(image, image)}",
                    finding=finding,
                    original=original,
                )
            )
        first.setdefault(image, number)
    if strangers := opaque.keys() - findings.keys():
        images = counted(len(strangers), "image")
        log.warning("rsna: %s has no class for %s of %s", classes, images, boxes)
    unknown = sum(record.path.stem not in patients for record in records)
    if unknown:
        log.warning(
            "rsna: the patient of %d of %d images is not known; each counts as a patient of its"
            " own, so that one patient may be in two splits. Put %s into %s",
            unknown, len(records), MAPPING, folder,
        )  # fmt: skip
    return records, dropped


def nih_patients(path: Path) -> dict[str, str]:
    """RSNA image id -> NIH patient, the first 8 characters of the NIH file's name."""
    if not path.exists():
        return {}
    try:
        return {row["subset_img_id"]: row["img_id"][:8] for row in json.loads(path.read_bytes())}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(
            f"{path}: expected a JSON list of objects with subset_img_id and img_id"
        ) from None

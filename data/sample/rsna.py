"""A drawn RSNA Pneumonia Detection Challenge: both CSVs, DICOM images, the NIH mapping."""

import json
import uuid
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.uid import JPEGBaseline8Bit

from data.sample.dicom import write_dicom
from data.sample.files import cut_off, generator, image_count, write_csv
from data.sample.phantom import draw_frontal, random_anatomy

LABELS_HEADER = ("patientId", "x", "y", "width", "height", "Target")
CLASSES_HEADER = ("patientId", "class")

_ODD_AGES = {1: 148, 2: 412}  # NIH patient -> years; the real table has these too


class _Scan(NamedTuple):
    """An image of RSNA: its id, its patient and number at the NIH, and its class."""

    image: str
    nih_patient: int
    nih_number: int
    finding: str

    @property
    def nih_file(self) -> str:
        return f"{self.nih_patient:08d}_{self.nih_number:03d}.png"


def write(folder: Path, seed: int, shares: dict[str, int], size: int) -> None:
    """Write the CSVs, the DICOM files and the mapping; `shares`: number of patients by class."""
    scans = _scans(seed, shares)
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True, exist_ok=True)
    missing, broken = [scan.image for scan in scans if scan.finding == "Normal"][:2]
    labels, classes = [], []
    for number, scan in enumerate(scans):
        path = images / f"{scan.image}.dcm"
        opacity = _write_scan(path, scan, seed, size)
        if scan.image == missing:
            path.unlink()
        elif scan.image == broken:
            path.write_bytes(cut_off(path.read_bytes()))
        boxes = _boxes(opacity, 1 + number % 3) if scan.finding == "Lung Opacity" else [()]
        for box in boxes:
            labels.append([scan.image, *(box or ("",) * 4), "1" if box else "0"])
            classes.append([scan.image, scan.finding])
    write_csv(folder / "stage_2_train_labels.csv", LABELS_HEADER, labels)
    write_csv(folder / "stage_2_detailed_class_info.csv", CLASSES_HEADER, classes)
    mapping = [{"subset_img_id": scan.image, "img_id": scan.nih_file} for scan in scans]
    path = folder / "pneumonia-challenge-dataset-mappings_2018.json"
    path.write_text(json.dumps(mapping), encoding="utf-8")


def _scans(seed: int, shares: dict[str, int]) -> list[_Scan]:
    """Return all images in the order of the CSVs, which is that of their random ids."""
    people = [(finding, k) for finding, count in shares.items() for k in range(count)]
    scans = []
    for nih_patient, (finding, k) in enumerate(people, start=1):
        for nih_number in range(image_count(k)):
            rng = generator(seed, "rsna id", str(nih_patient), str(nih_number))
            image = str(uuid.UUID(bytes=rng.bytes(16)))
            scans.append(_Scan(image, nih_patient, nih_number, finding))
    return sorted(scans)


def _write_scan(path: Path, scan: _Scan, seed: int, size: int) -> np.ndarray:
    """Write one DICOM file and return where its opacity is, (size, size) from 0 to 1."""
    rng = generator(seed, "rsna image", scan.image)
    body = generator(seed, "rsna patient", str(scan.nih_patient))
    anatomy, sex, age = random_anatomy(body), str(body.choice(("M", "F"))), body.integers(5, 90)
    age = _ODD_AGES.get(scan.nih_patient, age)
    if scan.finding == "No Lung Opacity / Not Normal":
        anatomy = replace(anatomy, heart=1.4)  # no opacity, but the heart is too large
    label = "pneumonia" if scan.finding == "Lung Opacity" else "normal"
    pixels, opacity = draw_frontal(label, rng, size, anatomy)
    if rng.random() < 0.2:
        pixels = _collimated(pixels, rng)
    view = str(rng.choice(("PA", "AP"), p=(0.54, 0.46)))
    write_dicom(
        path,
        pixels,
        JPEGBaseline8Bit,
        PatientID=scan.image,
        PatientName=scan.image,
        PatientSex=sex,
        PatientAge=str(age),  # without its unit, against the standard, as RSNA has it
        ViewPosition=view,
        SeriesDescription=f"view: {view}",
        BodyPartExamined="CHEST",
        ConversionType="WSD",
        StudyDate="19010101",
        StudyTime="000000.00",
        PixelSpacing=[round(360 / size, 4)] * 2,  # mm; the plate is 36 cm wide
    )
    return opacity


def _collimated(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blacken the rim that the collimator shut out."""
    size = len(pixels)
    top, bottom, left, right = (int(size * rng.uniform(0, 0.05)) for _ in range(4))
    shut = np.zeros_like(pixels)
    seen = (slice(top, size - bottom), slice(left, size - right))
    shut[seen] = pixels[seen]
    return shut


def _boxes(opacity: np.ndarray, count: int) -> list[tuple[float, ...]]:
    """Return `count` boxes x, y, width, height in pixels that together cover the opacity."""
    rows, columns = np.nonzero(opacity > 0.5)
    left, top = int(columns.min()), int(rows.min())
    width, height = int(columns.max()) + 1 - left, int(rows.max()) + 1 - top
    edges = [top + round(height * k / count) for k in range(count + 1)]
    return [
        (float(left), float(upper), float(width), float(lower - upper))
        for upper, lower in pairwise(edges)
    ]

"""A drawn SIIM-FISABIO-RSNA COVID-19 Detection: both training CSVs, DICOM images, the traps."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from data.sample.dicom import write_dicom
from data.sample.files import generator, image_count, write_csv
from data.sample.phantom import draw_frontal, random_anatomy

STUDIES_HEADER = (
    "id", "Negative for Pneumonia", "Typical Appearance", "Indeterminate Appearance",
    "Atypical Appearance",
)  # fmt: skip
IMAGES_HEADER = ("id", "boxes", "label", "StudyInstanceUID")
CLASSES = STUDIES_HEADER[1:]

_SHOWS = dict(zip(CLASSES, ("normal", "COVID-19", "pneumonia", "pneumonia"), strict=True))
_SYNTAXES = (RLELossless, JPEG2000Lossless)  # pydicom's own RLE of 8 in 16 bits is broken
_BITS = (8, 10, 12, 14, 16)  # stored; 16 are allocated


class _Study(NamedTuple):
    """A study: its id, its patient, the classes that are 1 in its row, its number of images."""

    name: str
    patient: str
    classes: Sequence[str]
    images: int = 1


_TRAPS = (
    # As many images as the largest real study has.
    _Study("many", "p-many", ("Typical Appearance",), 9),
    # Two studies of one patient.
    _Study("before", "p-twice", ("Negative for Pneumonia",)),
    _Study("after", "p-twice", ("Atypical Appearance",)),
    # A header without a PatientID.
    _Study("nobody", "", ("Indeterminate Appearance",), 2),
    # No class, two classes, no image.
    _Study("no-class", "p-none", ()),
    _Study("two-classes", "p-two", CLASSES[:2]),
    _Study("no-image", "p-empty", ("Typical Appearance",), 0),
)


def write(folder: Path, seed: int, shares: dict[str, int], size: int) -> None:
    """Write the two CSVs and the DICOM files; `shares` is the number of studies of each class."""
    people = [(label, k) for label, count in shares.items() for k in range(count)]
    ordinary = [
        _Study(f"{label}-{k}", f"p-{label}-{k}", (label,), image_count(k)) for label, k in people
    ]
    studies, images = [], []
    for study in (*ordinary, *_TRAPS):
        place = _id(seed, "study", study.name)
        studies.append([f"{place}_study", *(int(label in study.classes) for label in CLASSES)])
        for number in range(study.images):
            name = _id(seed, "image", study.name, str(number))
            series = _id(seed, "series", study.name, str(number))
            path = folder / "train" / place / series / f"{name}.dcm"
            opacity = _write_image(path, study, seed, size)
            images.append([f"{name}_image", *_boxes(opacity), place])
    # An image without a file, and an image of a study without a row.
    images.append([f"{'0' * 12}_image", "", "none 1 0 0 1 1", studies[0][0].removesuffix("_study")])
    images.append([f"{'1' * 12}_image", "", "none 1 0 0 1 1", "1" * 12])
    write_csv(folder / "train_study_level.csv", STUDIES_HEADER, sorted(studies))
    write_csv(folder / "train_image_level.csv", IMAGES_HEADER, sorted(images))


def _id(seed: int, *name: str) -> str:
    return generator(seed, "siim", *name).bytes(6).hex()


def _write_image(path: Path, study: _Study, seed: int, size: int) -> np.ndarray:
    """Write one DICOM file of 16 bits per pixel and return where its opacity is, 0 to 1."""
    rng = generator(seed, "siim", path.stem)
    anatomy = random_anatomy(generator(seed, "siim anatomy", study.patient or study.name))
    pixels, opacity = draw_frontal(_SHOWS[(*study.classes, CLASSES[0])[0]], rng, size, anatomy)
    bits = int(rng.choice(_BITS))
    values = np.rint(pixels / 255 * (2**bits - 1)).astype(np.uint16)
    dark = bool(rng.random() < 0.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_dicom(
        path,
        2**bits - 1 - values if dark else values,
        ExplicitVRLittleEndian if bits == 8 else str(rng.choice(_SYNTAXES)),
        PhotometricInterpretation="MONOCHROME1" if dark else "MONOCHROME2",
        BitsStored=bits,
        HighBit=bits - 1,
        PatientID=_id(seed, "patient", study.patient) if study.patient else "",
        PatientSex=str(rng.choice(("M", "F"))),
        Modality=str(rng.choice(("CR", "DX"))),
        BodyPartExamined="CHEST",
    )
    return opacity


def _boxes(opacity: np.ndarray) -> tuple[str, str]:
    """`boxes` and `label` as the table has them: one box around the opacity, or none."""
    rows, columns = np.nonzero(opacity > 0.5)
    if not len(rows):
        return "", "none 1 0 0 1 1"
    left, top, right, low = (
        float(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())
    )
    box = {"x": left, "y": top, "width": right - left, "height": low - top}
    return str([box]), f"opacity 1 {left} {top} {right} {low}"

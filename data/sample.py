"""The sample data: drawn raw sources with the files, the columns and the traps of the real ones.

    covid-chestxray-dataset/          metadata.csv, images/
    rsna-pneumonia-detection-challenge/
        stage_2_train_labels.csv, stage_2_detailed_class_info.csv     one row per box
        stage_2_train_images/<patientId>.dcm
        pneumonia-challenge-dataset-mappings_2018.json

They are read by the same code as the downloads. The same seed and size give the same bytes: each
image has a random generator of its own, seeded by its name.
"""

import csv
import io
import json
import uuid
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from pydicom import config as pydicom_config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from data.phantom import draw_axial, draw_frontal, draw_lateral, draw_phantom, random_anatomy

# The header of metadata.csv since mid 2020. The last column has no name.
COVID_HEADER = (
    "patientid", "offset", "sex", "age", "finding", "RT_PCR_positive", "survival", "intubated",
    "intubation_present", "went_icu", "in_icu", "needed_supplemental_O2", "extubated",
    "temperature", "pO2_saturation", "leukocyte_count", "neutrophil_count", "lymphocyte_count",
    "view", "modality", "date", "location", "folder", "filename", "doi", "url", "license",
    "clinical_notes", "other_notes", "",
)  # fmt: skip
LABELS_HEADER = ("patientId", "x", "y", "width", "height", "Target")
CLASSES_HEADER = ("patientId", "class")


def write_sample(
    folder: Path, seed: int = 1337, patients: int = 420, size: int = 256
) -> tuple[Path, Path]:
    """Write both raw sources below `folder` and return their folders: covid-chestxray, RSNA.

    A third each of `patients` (12 or more) is normal, has pneumonia, has COVID-19; they have 4
    images for every 3 patients. The traps come on top, whatever `patients` is, and RSNA's third
    class. RSNA's images are `size` pixels square, the others about as large.
    Files of these names that are there already are written anew.
    """
    if patients < 12:
        raise ValueError(f"patients: found {patients}; expected 12 or more.")
    third = patients // 3
    # As in reality, COVID-19 comes from one source alone and most of the healthy from the other.
    covid_shares = {"COVID-19": third, "pneumonia": round(0.3 * third), "normal": third // 6}
    rsna_shares = {
        "Lung Opacity": third - covid_shares["pneumonia"],
        "Normal": third - covid_shares["normal"],
        "No Lung Opacity / Not Normal": 1 + patients // 20,
    }
    covid, rsna = folder / "covid-chestxray-dataset", folder / "rsna-pneumonia-detection-challenge"
    _write_covid_chestxray(covid, seed, covid_shares, size)
    _write_rsna(rsna, seed, rsna_shares, size)
    return covid, rsna


# covid-chestxray-dataset.


class _Entry(NamedTuple):
    """A row of metadata.csv, what its file shows and how the file is stored."""

    patient: str
    offset: str  # days since the onset of symptoms
    finding: str
    view: str
    filename: str
    shows: str | None  # a label, "lateral", "axial"; None: there is no file
    stored: str = "grey"  # a key of _STORED


_FINDINGS = {
    "COVID-19": ("Pneumonia/Viral/COVID-19",),
    "pneumonia": (
        "Pneumonia",
        "Pneumonia/Bacterial/Streptococcus",
        "Pneumonia/Viral/SARS",
        "Pneumonia/Fungal/Pneumocystis",
        "Pneumonia/Bacterial/Klebsiella",
        "Pneumonia/Viral/Influenza/H1N1",
    ),
    "normal": ("No Finding",),
}
_COVID = "Pneumonia/Viral/COVID-19"

_TRAPS = (
    # One patient with two findings over time.
    _Entry("901", "0", "No Finding", "PA", "901-day0.png", "normal"),
    _Entry("901", "6", _COVID, "AP", "901-day6.png", "COVID-19"),
    # The same files under two patient ids, as under 285 and 339 of the real table.
    _Entry("285", "30", "Pneumonia", "PA", "000001-24.jpg", "pneumonia"),
    _Entry("285", "210", "Pneumonia", "PA", "000006-17.jpg", "pneumonia"),
    _Entry("339", "30", "Pneumonia", "PA", "000001-24.jpg", "pneumonia"),
    _Entry("339", "210", "Pneumonia", "PA", "000006-17.jpg", "pneumonia"),
    # A row that is there twice.
    _Entry("902", "3", _COVID, "AP", "902-day3.jpg", "COVID-19"),
    _Entry("902", "3", _COVID, "AP", "902-day3.jpg", "COVID-19"),
    # Patient ids that are no numbers.
    _Entry("311a", "5", _COVID, "PA", "311a-day5.jpg", "COVID-19"),
    _Entry("319a", "0", "No Finding", "PA", "319a-day0.jpg", "normal"),
    # Rows without a file, and without a file name.
    _Entry("903", "1", _COVID, "PA", "903-day1.jpg", None),
    _Entry("903", "2", _COVID, "PA", "", None),
    # CT: a volume, which the download does not hold, and single slices.
    _Entry("904", "", _COVID, "Axial", "coronacases_org_001.nii.gz", None),
    _Entry("904", "", _COVID, "Axial", "904-ct-a.png", "axial"),
    _Entry("905", "", "Pneumonia/Fungal/Pneumocystis", "Axial", "905-ct-a.jpg", "axial"),
    # The chest from the side.
    _Entry("906", "2", _COVID, "L", "906-lateral.jpg", "lateral"),
    _Entry("907", "0", "No Finding", "L", "907-lateral.png", "lateral"),
    # Views in any case.
    _Entry("908", "2", _COVID, "pa", "908-day2.jpg", "COVID-19"),
    _Entry("908", "4", _COVID, "AP SUPINE", "908-day4.jpg", "COVID-19"),
    _Entry("909", "1", "Pneumonia/Viral/SARS", "ap erect", "909-day1.jpg", "pneumonia"),
    _Entry("910", "0", "No Finding", "Pa", "910-day0.jpg", "normal"),
    # Findings that are none of the three.
    _Entry("911", "0", "Tuberculosis", "PA", "911-day0.jpg", "pneumonia"),
    _Entry("912", "0", "Unknown", "PA", "912-day0.jpg", "normal"),
    _Entry("913", "0", "todo", "PA", "913-day0.jpg", "pneumonia"),
    _Entry("914", "0", "", "PA", "914-day0.jpg", "normal"),
    # The flat findings of the first half of 2020.
    _Entry("915", "8", "COVID-19, ARDS", "AP Supine", "915-day8.png", "COVID-19"),
    _Entry("916", "3", "COVID-19", "PA", "916-day3.jpg", "COVID-19"),
    _Entry("917", "2", "ARDS", "AP Supine", "917-day2.jpg", "pneumonia"),
    _Entry("918", "2", "Mycoplasma Bacterial Pneumonia", "PA", "918-day2.jpg", "pneumonia"),
    _Entry("919", "2", "Streptococcus", "PA", "919-day2.jpg", "pneumonia"),
    # Spaces at the end, of a finding and of a file name.
    _Entry("920", "4", "Pneumonia/Viral/Herpes ", "PA", "920-day4.jpg", "pneumonia"),
    _Entry("921", "4", _COVID, "PA", "921-day4.png ", "COVID-19"),
    # Every kind of image file. What is called .png may be WebP inside.
    _Entry("922", "7", _COVID, "PA", "922-webp.png", "COVID-19", "webp"),
    _Entry("923", "7", _COVID, "PA", "923-colour.png", "COVID-19", "colour"),
    _Entry("924", "0", "No Finding", "PA", "924-alpha.png", "normal", "alpha"),
    _Entry("925", "7", _COVID, "PA", "925-palette.png", "COVID-19", "palette"),
    _Entry("926", "0", "No Finding", "PA", "926-16bit.png", "normal", "16 bits"),
    _Entry("927", "7", _COVID, "AP", "927-16bit.PNG", "COVID-19", "16 bits"),
    _Entry("928", "1", "Pneumonia", "PA", "928-turned.jpg", "pneumonia", "turned"),
    # Files that no program can read.
    _Entry("929", "7", _COVID, "PA", "929-cut-off.jpg", "COVID-19", "cut off"),
    _Entry("930", "7", _COVID, "PA", "930-cut-off.png", "COVID-19", "cut off"),
    _Entry("931", "7", _COVID, "PA", "931-not-found.jpg", "COVID-19", "web page"),
)


def _write_covid_chestxray(folder: Path, seed: int, shares: dict[str, int], size: int) -> None:
    """Write metadata.csv and images/; `shares` is how many patients have a label."""
    entries = [*_ordinary_entries(seed, shares), *_TRAPS]
    _write_csv(folder / "metadata.csv", COVID_HEADER, (_covid_row(seed, e) for e in entries))
    (folder / "images").mkdir(exist_ok=True)
    for entry in {e.filename: e for e in reversed(entries) if e.shows}.values():
        path = folder / "images" / entry.filename.strip()
        picture = _covid_picture(entry, seed, size)
        path.write_bytes(_STORED[entry.stored](picture, "PNG" if _is_png(path) else "JPEG"))


def _ordinary_entries(seed: int, shares: dict[str, int]) -> list[_Entry]:
    """Return the rows that hold no trap."""
    people = [(label, k) for label, count in shares.items() for k in range(count)]
    entries = []
    for number, (label, k) in enumerate(people, start=1):
        rng = _rng(seed, "covid patient", str(number))
        finding = _FINDINGS[label][k % len(_FINDINGS[label])]
        day = int(rng.integers(0, 9))
        for _ in range(_image_count(k)):
            view = str(rng.choice(("PA", "PA", "AP", "AP Supine", "AP Erect")))
            suffix = str(rng.choice(("jpg", "jpg", "jpeg", "png", "JPG")))
            stored = str(rng.choice(("grey", "grey", "colour")))
            name = f"phantom-{number}-day{day}.{suffix}"
            entries.append(_Entry(str(number), str(day), finding, view, name, label, stored))
            day += int(rng.integers(1, 6))
    return entries


def _covid_row(seed: int, entry: _Entry) -> list[str]:
    """Return the row of an entry, in the order of COVID_HEADER."""
    rng = _rng(seed, "covid patient's data", entry.patient)
    has_covid = "COVID-19" in entry.finding
    columns = {
        "patientid": entry.patient,
        "offset": entry.offset,
        "sex": str(rng.choice(("M", "F", ""), p=(0.5, 0.4, 0.1))),
        "age": str(rng.integers(18, 92)),
        "finding": entry.finding,
        "RT_PCR_positive": "Y" if has_covid else "Unclear" if entry.patient == "917" else "",
        "view": entry.view,
        "modality": "CT" if entry.view == "Axial" else "X-ray",
        "date": "2020",
        "location": "Nowhere, drawn by a program",
        "folder": "volumes" if entry.filename.endswith(".nii.gz") else "images",
        "filename": entry.filename,
        "license": "CC0",
        # Not ASCII, and with the comma and the quotes that a CSV reader must bear.
        "clinical_notes": 'Says: "fièvre à 38.4 °C", and a cough.' if has_covid else "",
        "other_notes": "A phantom, not a person.",
    }
    return [columns.get(name, "") for name in COVID_HEADER]


def _covid_picture(entry: _Entry, seed: int, size: int) -> Image.Image:
    """Draw what the entry shows and make a figure of it, as journals and web sites do."""
    rng = _rng(seed, "covid image", entry.filename)
    if entry.shows == "axial":
        return Image.fromarray(draw_axial(rng, size))
    if entry.shows == "lateral":
        return Image.fromarray(draw_lateral(rng, size))
    anatomy = random_anatomy(_rng(seed, "covid anatomy", entry.patient))
    return _figure(Image.fromarray(draw_phantom(entry.shows, rng, size, anatomy)), rng)


def _figure(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Crop, scale and stretch the contrast; some have the white box of a letter in a corner."""
    size = picture.width
    left, top, right, bottom = (round(size * rng.uniform(0, 0.05)) for _ in range(4))
    picture = picture.crop((left, top, size - right, size - bottom))
    scale = rng.uniform(0.7, 1.3)
    width, height = round(picture.width * scale * rng.uniform(1.0, 1.15)), round(size * scale)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    picture = ImageOps.autocontrast(picture, cutoff=rng.uniform(0, 1))
    if rng.random() < 0.15:
        box = (height // 40, height // 40, height // 11, height // 11)
        ImageDraw.Draw(picture).rectangle(box, fill=255)
    return picture


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == ".png"


def _encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of an image file of Pillow's `kind`."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _alpha(picture: Image.Image, kind: str) -> bytes:
    """Cut the figure out of a white page: the page is still there, but transparent."""
    margin = picture.width // 16
    hole = (margin, margin, picture.width - margin, picture.height - margin)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).rounded_rectangle(hole, radius=margin, fill=255)
    page = Image.composite(picture, Image.new("L", picture.size, 255), mask).convert("RGB")
    page.putalpha(mask)
    return _encode(page, kind)


def _sixteen_bits(picture: Image.Image, kind: str) -> bytes:
    """Use all of 0 .. 65535. Whoever clips at 255 sees white."""
    grey = np.asarray(picture, np.float32)
    scaled = (grey - grey.min()) / (grey.max() - grey.min()) * 65535
    return _encode(Image.fromarray(scaled.astype(np.uint16)), kind)


def _turned(picture: Image.Image, kind: str) -> bytes:
    """Store the patient lying on the side; EXIF orientation 6 says how to turn back."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return _encode(picture.transpose(Image.Transpose.ROTATE_90), kind, exif=exif)


def _cut_off(content: bytes) -> bytes:
    """Lose the end, as a download does that breaks; what is left still begins like a good file."""
    return content[: len(content) * 3 // 4]


# How a file of images/ is stored: (grey picture, "PNG" or "JPEG") -> bytes.
_STORED: dict[str, Callable[[Image.Image, str], bytes]] = {
    "grey": _encode,
    "colour": lambda picture, kind: _encode(picture.convert("RGB"), kind),
    "alpha": _alpha,
    # Index 0 need not be black: the palette is in the order of the quantiser.
    "palette": lambda picture, kind: _encode(picture.convert("RGB").quantize(64), kind),
    "16 bits": _sixteen_bits,
    "webp": lambda picture, kind: _encode(picture.convert("RGB"), "WEBP"),
    "turned": _turned,
    "cut off": lambda picture, kind: _cut_off(_encode(picture, kind)),
    "web page": lambda picture, kind: b"<!DOCTYPE html>\n<title>404 Not Found</title>\n",
}


# RSNA Pneumonia Detection Challenge.

_ODD_AGES = {1: 148, 2: 412}  # NIH patient -> years; the real table has these too


class _Scan(NamedTuple):
    """An image of RSNA's: its id, its NIH patient and number there, and its class."""

    image: str
    nih_patient: int
    nih_number: int
    finding: str

    @property
    def nih_file(self) -> str:
        return f"{self.nih_patient:08d}_{self.nih_number:03d}.png"


def _write_rsna(folder: Path, seed: int, shares: dict[str, int], size: int) -> None:
    """Write the two CSVs, the DICOM files and the mapping; `shares` is patients by class."""
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
            path.write_bytes(_cut_off(path.read_bytes()))
        boxes = _boxes(opacity, 1 + number % 3) if scan.finding == "Lung Opacity" else [()]
        for box in boxes:
            labels.append([scan.image, *(box or ("",) * 4), "1" if box else "0"])
            classes.append([scan.image, scan.finding])
    _write_csv(folder / "stage_2_train_labels.csv", LABELS_HEADER, labels)
    _write_csv(folder / "stage_2_detailed_class_info.csv", CLASSES_HEADER, classes)
    mapping = [{"subset_img_id": scan.image, "img_id": scan.nih_file} for scan in scans]
    path = folder / "pneumonia-challenge-dataset-mappings_2018.json"
    path.write_text(json.dumps(mapping), encoding="utf-8")


def _scans(seed: int, shares: dict[str, int]) -> list[_Scan]:
    """Return all images in the order of the CSVs, which is that of their random ids."""
    people = [(finding, k) for finding, count in shares.items() for k in range(count)]
    scans = []
    for nih_patient, (finding, k) in enumerate(people, start=1):
        for nih_number in range(_image_count(k)):
            rng = _rng(seed, "rsna id", str(nih_patient), str(nih_number))
            image = str(uuid.UUID(bytes=rng.bytes(16)))
            scans.append(_Scan(image, nih_patient, nih_number, finding))
    return sorted(scans)


def _write_scan(path: Path, scan: _Scan, seed: int, size: int) -> np.ndarray:
    """Write one DICOM file and return where its opacity is, (size, size) from 0 to 1."""
    rng = _rng(seed, "rsna image", scan.image)
    body = _rng(seed, "rsna patient", str(scan.nih_patient))
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


def write_dicom(
    path: Path,
    pixels: np.ndarray,
    transfer_syntax: str = ExplicitVRLittleEndian,
    **attributes: object,
) -> None:
    """Write a DICOM file whose bytes depend on the arguments alone.

    `pixels` is (rows, columns), (frames, rows, columns) or colour (rows, columns, 3), of 8 or 16
    bits, signed or not. `transfer_syntax` is JPEG baseline (8-bit grey), uncompressed or what
    pydicom can compress to without loss. `attributes` are DICOM keywords, such as
    PhotometricInterpretation="MONOCHROME1", BitsStored=12, WindowCenter=40. They override what
    `pixels` says and are not checked, so that tests can write what real files hold.
    """
    uid, study, series = (
        generate_uid(entropy_srcs=[path.name, level]) for level in ("image", "study", "series")
    )
    header = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "Modality": "CR",
        **_pixel_module(pixels, attributes.get("BitsStored", 8 * pixels.itemsize)),
        **attributes,
    }
    dataset = Dataset()
    for keyword, value in header.items():
        tag = tag_for_keyword(keyword)
        vr = "OW" if keyword == "PixelData" else dictionary_VR(tag)
        dataset.add(DataElement(tag, vr, value, validation_mode=pydicom_config.IGNORE))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if transfer_syntax == JPEGBaseline8Bit:  # the one that pydicom cannot compress to
        jpeg = _encode(Image.fromarray(pixels), "JPEG", quality=88)
        dataset.add_new("PixelData", "OB", encapsulate([jpeg]))
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
    elif transfer_syntax != ExplicitVRLittleEndian:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def _pixel_module(pixels: np.ndarray, bits_stored: int) -> dict[str, object]:
    """Return the attributes that describe and hold uncompressed pixels (DICOM PS3.3 C.7.6.3)."""
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    rows, columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    module = {
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": bits_stored,
        "HighBit": bits_stored - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelData": pixels.tobytes(),
    }
    if colour:
        return {**module, "PlanarConfiguration": 0}
    return {**module, "NumberOfFrames": len(pixels)} if pixels.ndim == 3 else module


# Both sources.


def _image_count(k: int) -> int:
    """Return how many images the k-th patient of a kind has: 1, 2 or 3, and 4 / 3 on average."""
    return 1 + (k % 4 == 0) + (k % 12 == 0)


def _rng(seed: int, *name: str) -> np.random.Generator:
    """Return the generator of the thing of that name, whatever was drawn before it."""
    return np.random.default_rng([seed, zlib.crc32("/".join(name).encode())])


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)

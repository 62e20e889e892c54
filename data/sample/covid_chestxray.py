"""A drawn covid-chestxray-dataset: metadata.csv, images/, and the traps of the real one."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from data.sample.files import cut_off, encode, generator, image_count, write_csv
from data.sample.phantom import draw_axial, draw_lateral, draw_phantom, random_anatomy

# The header of metadata.csv since mid 2020. The last column has no name.
HEADER = (
    "patientid", "offset", "sex", "age", "finding", "RT_PCR_positive", "survival", "intubated",
    "intubation_present", "went_icu", "in_icu", "needed_supplemental_O2", "extubated",
    "temperature", "pO2_saturation", "leukocyte_count", "neutrophil_count", "lymphocyte_count",
    "view", "modality", "date", "location", "folder", "filename", "doi", "url", "license",
    "clinical_notes", "other_notes", "",
)  # fmt: skip


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
    # Patient ids that are not numbers.
    _Entry("311a", "5", _COVID, "PA", "311a-day5.jpg", "COVID-19"),
    _Entry("319a", "0", "No Finding", "PA", "319a-day0.jpg", "normal"),
    # Rows without a file, and without a file name.
    _Entry("903", "1", _COVID, "PA", "903-day1.jpg", None),
    _Entry("903", "2", _COVID, "PA", "", None),
    # CT: a volume, which is not in the download, and single slices.
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
    # Findings that belong to none of the three classes.
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
    # Every kind of image file. A file named .png may hold WebP.
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


def write(folder: Path, seed: int, shares: dict[str, int], size: int) -> None:
    """Write metadata.csv and images/; `shares` is the number of patients of each label."""
    entries = [*_ordinary_entries(seed, shares), *_TRAPS]
    write_csv(folder / "metadata.csv", HEADER, (_covid_row(seed, e) for e in entries))
    (folder / "images").mkdir(exist_ok=True)
    for entry in {e.filename: e for e in reversed(entries) if e.shows}.values():
        path = folder / "images" / entry.filename.strip()
        picture = _covid_picture(entry, seed, size)
        path.write_bytes(_STORED[entry.stored](picture, "PNG" if _is_png(path) else "JPEG"))


def _ordinary_entries(seed: int, shares: dict[str, int]) -> list[_Entry]:
    """Return the rows without traps."""
    people = [(label, k) for label, count in shares.items() for k in range(count)]
    entries = []
    for number, (label, k) in enumerate(people, start=1):
        rng = generator(seed, "covid patient", str(number))
        finding = _FINDINGS[label][k % len(_FINDINGS[label])]
        day = int(rng.integers(0, 9))
        for _ in range(image_count(k)):
            view = str(rng.choice(("PA", "PA", "AP", "AP Supine", "AP Erect")))
            suffix = str(rng.choice(("jpg", "jpg", "jpeg", "png", "JPG")))
            stored = str(rng.choice(("grey", "grey", "colour")))
            name = f"phantom-{number}-day{day}.{suffix}"
            entries.append(_Entry(str(number), str(day), finding, view, name, label, stored))
            day += int(rng.integers(1, 6))
    return entries


def _covid_row(seed: int, entry: _Entry) -> list[str]:
    """Return the row of an entry, in the order of HEADER."""
    rng = generator(seed, "covid patient's data", entry.patient)
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
        # Not ASCII, and with a comma and quotes, which a CSV reader must cope with.
        "clinical_notes": 'Says: "fièvre à 38.4 °C", and a cough.' if has_covid else "",
        "other_notes": "A phantom, not a person.",
    }
    return [columns.get(name, "") for name in HEADER]


def _covid_picture(entry: _Entry, seed: int, size: int) -> Image.Image:
    """Draw what the entry shows and make a figure of it, as journals and web sites do."""
    rng = generator(seed, "covid image", entry.filename)
    if entry.shows == "axial":
        return Image.fromarray(draw_axial(rng, size))
    if entry.shows == "lateral":
        return Image.fromarray(draw_lateral(rng, size))
    anatomy = random_anatomy(generator(seed, "covid anatomy", entry.patient))
    return _figure(Image.fromarray(draw_phantom(entry.shows, rng, size, anatomy)), rng)


def _figure(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Crop, scale and stretch the contrast; some get a white box in a corner, as for a letter."""
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


def _alpha(picture: Image.Image, kind: str) -> bytes:
    """Cut the figure out of a white page: the page is still there, but transparent."""
    margin = picture.width // 16
    hole = (margin, margin, picture.width - margin, picture.height - margin)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).rounded_rectangle(hole, radius=margin, fill=255)
    page = Image.composite(picture, Image.new("L", picture.size, 255), mask).convert("RGB")
    page.putalpha(mask)
    return encode(page, kind)


def _sixteen_bits(picture: Image.Image, kind: str) -> bytes:
    """Use the whole range 0 .. 65535. Code that clips at 255 sees only white."""
    grey = np.asarray(picture, np.float32)
    scaled = (grey - grey.min()) / (grey.max() - grey.min()) * 65535
    return encode(Image.fromarray(scaled.astype(np.uint16)), kind)


def _turned(picture: Image.Image, kind: str) -> bytes:
    """Store the picture turned by 90 degrees; EXIF orientation 6 says how to turn it back."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(picture.transpose(Image.Transpose.ROTATE_90), kind, exif=exif)


# How a file of images/ is stored: (grey picture, "PNG" or "JPEG") -> bytes.
_STORED: dict[str, Callable[[Image.Image, str], bytes]] = {
    "grey": encode,
    "colour": lambda picture, kind: encode(picture.convert("RGB"), kind),
    "alpha": _alpha,
    # Index 0 need not be black: the palette is in the order of the quantiser.
    "palette": lambda picture, kind: encode(picture.convert("RGB").quantize(64), kind),
    "16 bits": _sixteen_bits,
    "webp": lambda picture, kind: encode(picture.convert("RGB"), "WEBP"),
    "turned": _turned,
    "cut off": lambda picture, kind: cut_off(encode(picture, kind)),
    "web page": lambda picture, kind: b"<!DOCTYPE html>\n<title>404 Not Found</title>\n",
}

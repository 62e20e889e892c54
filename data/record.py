"""A raw row becomes a record that is used, or is left out with a reason."""

import re
from dataclasses import dataclass
from pathlib import Path

SPELLINGS = {  # as `bare` leaves them
    "normal": ("normal", "nofinding", "nofindings"),
    "pneumonia": ("pneumonia",),
    "COVID-19": ("covid19", "covid", "covid2019", "sarscov2", "2019ncov", "ncov2019", "ncov"),
}
LABELS = tuple(SPELLINGS)
LABEL_OF = {spelling: label for label, names in SPELLINGS.items() for spelling in names}
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Record:
    """One raw radiograph with its label and what is known of its patient.

    `patient_id` is `source:id`: all images of one id stay in one split. `row` counts the raw
    table's data rows from 1. `view` (`PA`, `AP`, `AP Supine`, ...), `sex` (`M`, `F`) and `age`
    (years, or a span such as `1-5`) are empty if the source lacks them; a DICOM header may fill
    them later. `frontal` images
    need no view: their source has only these. `splits` are those that the source's own split
    allows; if empty, all are allowed. `hospital`, `country` and `licence` (of the image) are empty
    if the source does not tell them.
    """

    source: str
    row: int
    path: Path
    label: str
    patient_id: str
    finding: str
    original: str
    view: str = ""
    sex: str = ""
    age: str = ""
    frontal: bool = False
    splits: tuple[str, ...] = ()
    hospital: str = ""
    country: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Dropped:
    """A raw row that is in no split, and why."""

    source: str
    row: int
    original: str
    finding: str
    reason: str


def drop(record: Record, reason: str) -> Dropped:
    return Dropped(record.source, record.row, record.original, record.finding, reason)


def csv_text(text: str) -> str:
    """A file name with carriage returns and invalid UTF-8 escaped, which a CSV cannot hold."""
    return text.replace("\r", r"\r").encode(errors="backslashreplace").decode()


def bare(text: str) -> str:
    """The lower-case letters and digits, by which spellings of one name are alike."""
    return re.sub(r"[\W_]+", "", text).lower()


def clean_label(text: str) -> str | None:
    """The one of LABELS that `covid_19`, `SARS-CoV-2` or `No findings` spells; None for no one."""
    return LABEL_OF.get(bare(text))


def clean_view(text: str) -> str:
    """A view in the field's spelling: `ap supine` and `AP SUPINE ` are `AP Supine`."""
    words = text.split()
    return " ".join(
        w.upper() if w.lower() in {"pa", "ap", "l", "ll", "rl"} else w.capitalize() for w in words
    )


def clean_sex(text: str) -> str:
    """`M`, `F` or empty."""
    initial = text.strip()[:1].upper()
    return initial if initial in {"M", "F"} else ""


def clean_age(text: str) -> str:
    """Whole years from `51`, `051Y` or `18M`; empty for an impossible age, such as 412."""
    text = text.strip().upper()
    unit = text[-1:] if text[-1:] in {"Y", "M", "W", "D"} else "Y"
    try:
        years = float(text.rstrip("YMWD")) / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[unit]
    except ValueError:
        return ""
    return str(int(years)) if 0 <= years <= 120 else ""

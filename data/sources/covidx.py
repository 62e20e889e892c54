"""COVIDx: Wang et al., COVID-Net, arXiv:2003.09871; CXR-4: Wu et al., arXiv:2311.17677.

train_COVIDx8A.txt, test_COVIDx8A.txt    v1 - v9: also train_split.txt, train_split_v3.txt, ...
train.txt, val.txt, test.txt             Kaggle's COVIDx CXR-2, -3, -4; val.txt is in the last
train/ val/ test/                        the images of each

A line is `patient file class source`; older files have no source, and the test files of v3 - v5 mix
both. The classes of one version are normal, pneumonia (v1: viral, bacteria) and COVID-19, those of
another negative and positive. `negative` is a label of its own: it mixes normal and pneumonia.

Rows are the lines that are not blank, numbered through train, val and test. The source's own split
is kept. An id names one patient, whatever the source beside it: the same patient has a source in
one file and none in another, and a patient in two splits must be found. Two people of two sources
with one id would be taken for one person, which hides no leak.

`source` is `covidx-sirm` and the like if a line names one: COVIDx is itself a mix, and the part
from which an image comes may reveal its class.
"""

import logging
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from data.patients import join_equal_numbers, join_patients
from data.record import SPLITS, Dropped, Record, clean_label
from data.sources.rsna import MAPPING, nih_patients
from data.sources.tables import Mismatch, contents, find_file, own_splits, read_text, require
from util.files import require_folder
from util.words import counted

NAME = "covidx"
DESCRIPTION = "COVIDx v1 - v9 or CXR-2 - CXR-4: label files of one version, train/ val/ test/"
LABEL_OF = {  # beside those that `clean_label` knows
    "viral": "pneumonia",
    "bacteria": "pneumonia",
    "negative": "negative",
    "positive": "positive",
}
SPELLINGS = {"rnsa": "rsna"}
LABEL_FILE = re.compile(r"(train|val|test)(|_split.*|_COVIDx.*)\.txt")
SOURCE = re.compile(r"[a-zA-Z]\w{0,30}")

log = logging.getLogger(__name__)


class Line(NamedTuple):
    """What a line of a label file says; the source is empty in the older ones."""

    patient: str
    file: str
    finding: str
    source: str


def label_of(finding: str) -> str | None:
    return clean_label(finding) or LABEL_OF.get(finding.lower())


def parse(text: str) -> Line | None:
    """Reads from the right, as ids have spaces: `COVID 1 COVID(1).png COVID-19 sirm`.

    None for what is not a line of COVIDx.
    """
    words = text.split()
    source = words.pop() if words and not label_of(words[-1]) else ""
    if len(words) < 3 or not label_of(words[-1]):
        return None
    *patient, file, finding = words
    return Line(" ".join(patient), file, finding, SPELLINGS.get(source, source))


def read(folder: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per image, bound to its own split, and every other line."""
    tables = _of_one_version(folder)
    images = {split: require(folder, split, "COVIDx") for split in tables}
    texts = [(split, text) for split, table in tables.items() for text in texts_of(table)]
    rows, dropped = [], []
    for number, (split, text) in enumerate(texts, start=1):
        if line := parse(text):
            rows.append((number, split, f"{split}/{line.file}", line))
        else:
            reason = Mismatch(f"'{text}' is not: patient, file, class")
            dropped.append(Dropped(NAME, number, tables[split].name, "", reason))
    patients = patients_of([(file, line) for *_, file, line in rows], folder)
    labels = defaultdict(set)
    for _, _, file, line in rows:
        labels[file].add(label_of(line.finding))
    splits = own_splits(tables)
    records, first = [], {}
    for (number, split, file, line), patient in zip(rows, patients, strict=True):
        known = SOURCE.fullmatch(line.source)
        source = f"{NAME}-{line.source.lower()}" if known else NAME
        path, missing = find_file(images[split], line.file)
        if reason := (
            missing
            or (line.source and not known and Mismatch(f"'{line.source}' is no source's name"))
            or (len(labels[file]) > 1 and Mismatch("rows disagree on this file's class"))
            or (file in first and f"the same file as row {first[file]}")
        ):
            dropped.append(Dropped(source, number, file, line.finding, reason))
            continue
        first[file] = number
        records.append(
            Record(
                source=source,
                row=number,
                path=path,
                label=label_of(line.finding),
                patient_id=f"{NAME}:{patient}",
                finding=line.finding,
                original=file,
                frontal=True,
                splits=splits[split],
            )
        )
    return records, dropped


def patients_of(rows: list[tuple[str, Line]], folder: Path) -> list[str]:
    """The patient of each line of one version, which has its file, SPLIT/NAME, beside it.

    For the RSNA part, whose ids name images, the NIH patient if `folder` has RSNA's mapping. Ids
    that share a file are one patient.
    """
    lines = [line for _, line in rows]
    nih = nih_patients(folder / MAPPING)
    ids = join_equal_numbers([line.patient for line in lines], str(folder))
    unknown = sum(line.source == "rsna" and line.patient not in nih for line in lines)
    if unknown:
        log.warning(
            "covidx: %s of its RSNA part without the patient, only an image's name; one patient may"
            " be in two splits. Put %s into %s",
            counted(unknown, "line"), MAPPING, folder,
        )  # fmt: skip
    return join_patients([nih.get(name, name) for name in ids], [file for file, _ in rows])


def label_files(folder: Path) -> dict[str, dict[str, Path]]:
    """Version, as the files name it -> split -> its label file; Kaggle's train.txt names none."""
    versions = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        if match := LABEL_FILE.fullmatch(path.name):
            versions[match[2].strip("_")][match[1]] = path
    return {
        version: {split: tables[split] for split in SPLITS if split in tables}
        for version, tables in versions.items()
    }


def _of_one_version(folder: Path) -> dict[str, Path]:
    """The label file of each split that has one."""
    require_folder(folder, "expected the download of COVIDx")
    versions = label_files(folder)
    if not versions:
        raise FileNotFoundError(
            f"{folder}: found {contents(folder)}; expected label files such as train.txt and"
            " test.txt, or train_COVIDx9A.txt and test_COVIDx9A.txt. Give their folder"
        )
    if len(versions) > 1:
        several = ", ".join(sorted(p.name for tables in versions.values() for p in tables.values()))
        raise ValueError(
            f"{folder}: found {several}; expected the label files of one version. Move the others"
            " away"
        )
    return next(iter(versions.values()))


def texts_of(path: Path) -> list[str]:
    """The lines of a label file that are not blank."""
    return [line for line in re.split(r"[\r\n]+", read_text(path)) if line.strip()]

"""A user's own films: any CSV that lists them, of one hospital or of many.

    films.csv      filename, label, patient_id; if known source, hospital, country, view, sex, age,
                   split, licence; other columns are not read
    any/image.png  a filename is the path from the folder of the CSV; it may not leave that folder

Without a source the table's own name is the source. A patient_id with a colon, such as
`rsna:00001315`, is a patient of the source before it; a film without one has its own patient.
"""

import logging
from pathlib import Path

from data.patients import join_equal_numbers
from data.record import SPLITS, Dropped, Record, clean_label
from data.sources.tables import (
    Mismatch,
    each_file_once,
    find_below,
    own_splits,
    read_rows,
    view_and_person,
)
from util.words import counted

NAME = "table"
DESCRIPTION = "CSV of your own films: filename, label, patient_id; if known source, hospital, ..."
REQUIRED = ("filename", "label", "patient_id")
KNOWN = (*REQUIRED, "source", "hospital", "country", "view", "sex", "age", "split", "licence")

log = logging.getLogger(__name__)


def read(table: Path) -> tuple[list[Record], list[Dropped]]:
    """One record per film of the table; FileNotFoundError or ValueError if it is not such a table.

    Views need not be known: films without one count as frontal.
    """
    if not table.is_file():
        raise FileNotFoundError(f"{table}: not a file; expected a {DESCRIPTION}")
    rows = read_rows(table, REQUIRED)
    if ignored := [name for name in (rows[0] if rows else ()) if name and name not in KNOWN]:
        log.info("%s: columns that are not read: %s", table, ", ".join(ignored))
    sources = [row.get("source") or table.stem for row in rows]
    patients = _patients(table, rows, sources)
    splits = own_splits({row.get("split", "").lower() for row in rows} & set(SPLITS))
    items = []
    for number, (row, source, patient) in enumerate(
        zip(rows, sources, patients, strict=True), start=1
    ):
        name, split = row["filename"], row.get("split", "").lower()
        path, reason = find_below(table.parent, name)
        reason = (
            reason
            or (not row["label"] and "no label")
            or (split not in {"", *SPLITS} and Mismatch(f"'{split}' is not a split"))
        )
        if reason:
            items.append(Dropped(source, number, name, row["label"], reason))
            continue
        items.append(
            Record(
                source=source,
                row=number,
                path=path,
                label=clean_label(row["label"]) or row["label"],
                patient_id=patient,
                finding=row["label"],
                original=name,
                **view_and_person(row),
                frontal=True,
                splits=splits.get(split, ()),
                **{column: row.get(column, "") for column in ("hospital", "country", "licence")},
            )
        )
    return each_file_once(items)


def _patients(table: Path, rows: list[dict[str, str]], sources: list[str]) -> list[str]:
    """`source:id` of each row."""
    given = join_equal_numbers([row["patient_id"] for row in rows], str(table))
    if unknown := given.count(""):
        log.warning(
            "%s: %s without a patient_id; one patient may be in two splits",
            table,
            counted(unknown, "row"),
        )
    return [
        patient if ":" in patient else f"{source}:{patient or 'file ' + row['filename']}"
        for patient, source, row in zip(given, sources, rows, strict=True)
    ]

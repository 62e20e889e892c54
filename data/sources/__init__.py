"""The public sources. Each is one module of one shape:

    NAME           its name in `source` columns and, as --NAME, on the command line
    DESCRIPTION    one line for --help
    read(folder)   -> (records, dropped rows); FileNotFoundError or ValueError for another folder.
                   The one of `table` reads a file

Every row of the source's table comes back in one of the two lists. Adding a source is adding one
file, and its name below.
"""

from pathlib import Path

from data.record import Dropped, Record
from data.sources import (
    actualmed,
    class_folders,
    covid_chestxray,
    covid_cxnet,
    covidx,
    figure1,
    hannover,
    kermany,
    nih,
    radiography_database,
    rsna,
    siim,
    table,
)
from data.sources.tables import Mismatch

SOURCES = {
    module.NAME: module
    for module in (
        covid_chestxray, rsna, nih, siim, covidx, hannover, actualmed, figure1, covid_cxnet,
        radiography_database, kermany, class_folders, table,
    )
}  # fmt: skip


def read(name: str, folder: Path) -> tuple[list[Record], list[Dropped]]:
    """The records and the dropped rows of the source `name` in `folder`, by row.

    ValueError for a folder that gives no image, or in which table and images do not fit together:
    of the rows that should give an image, more than half give none. A row that is left out for
    what it is, such as CT or a further box, is not counted.
    """
    records, dropped = SOURCES[name].read(folder)
    dropped = sorted(dropped, key=lambda item: item.row)
    unfit = [item for item in dropped if isinstance(item.reason, Mismatch)]
    if len(unfit) > len(records):
        trouble = f"{len(unfit)} of {len(unfit) + len(records)} rows that should give an image"
        trouble += f" give none, the first is row {unfit[0].row}: {unfit[0].reason}"
    elif not records:
        reason = f", the first for: {dropped[0].reason}" if dropped else ""
        trouble = f"none of {len(dropped)} rows gives an image{reason}"
    else:
        return records, dropped
    line = " ".join(f"{folder}: {trouble}".split())  # a file name may hold a line break
    raise ValueError(f"{line}; expected {SOURCES[name].DESCRIPTION}. Check the folder")

"""Records -> small grayscale PNGs, in several processes. Unreadable files are dropped."""

import hashlib
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from data.images.gray import UnreadableImageError
from data.images.preparation import Preparation
from data.record import Dropped, Record, drop
from util.files import errors_name
from util.workers import NoResult, map_in_processes


@dataclass(frozen=True)
class Prepared:
    """A record and its prepared image.

    `digest` is the SHA-256 of the image's pixels; `signature` has the landmarks by which near
    copies are found (data.copies.landmarks). `width` and `height` are those of the raw image,
    `statistics` the numbers of the prepared one (data.images.picture_statistics).
    `rules` has the splits that each rule allows (data.split.rules), `near_group` is the number of
    its group of near copies.
    """

    record: Record
    filename: str
    digest: str
    signature: bytes
    width: int
    height: int
    statistics: Sequence[float] = ()
    rules: Sequence[Collection[str]] = ()
    near_group: int | None = None

    def of_patient(self, patient_id: str) -> "Prepared":
        return replace(self, record=replace(self.record, patient_id=patient_id))

    def with_label(self, label: str) -> "Prepared":
        return replace(self, record=replace(self.record, label=label))


def prepare(
    records: Sequence[Record], folder: Path, preparation: Preparation, workers: int
) -> Iterator[Prepared | Dropped]:
    """Writes each record's image, prepared, as `folder/<source>-<row>.png`; yields in order.

    A file on which the decoder dies or hangs costs only its own row.
    Without `workers` this process does the work.
    """
    job = partial(_prepare_one, folder=folder, preparation=preparation)
    results = map_in_processes(job, records, workers) if workers else map(job, records)
    for record, result in zip(records, results, strict=True):
        yield drop(record, result.reason) if isinstance(result, NoResult) else result


def _prepare_one(record: Record, folder: Path, preparation: Preparation) -> Prepared | Dropped:
    import cv2
    import numpy as np

    from data.copies.landmarks import shrink_for_search, signature
    from data.images.is_radiograph import why_no_radiograph
    from data.images.picture_statistics import picture_statistics
    from data.images.radiograph import read_radiograph

    cv2.setNumThreads(0)  # the processes share the cores; their threads would wait in line
    try:
        raw = read_radiograph(record.path, None, preparation.enough)
    except UnreadableImageError as error:
        return drop(record, str(error).removeprefix(f"{record.path}: "))
    if reason := why_no_radiograph(raw):
        return drop(record, reason)
    # The DICOM header fills what the source's table leaves empty.
    header = raw.info.get("dicom", {})
    record = replace(record, **{name: getattr(record, name) or header[name] for name in header})
    image = preparation(raw.convert("L"))
    filename = f"{record.source}-{record.row:05d}.png"
    # Radiographs have no repeats for zlib to find: without the search files are 5 % smaller than
    # at the default, and written in a quarter of the time.
    with errors_name(folder / filename):
        image.save(folder / filename, compress_type=zlib.Z_RLE, icc_profile=None)
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    marks = signature(shrink_for_search(image)).tobytes()
    numbers = picture_statistics(np.asarray(image))
    return Prepared(record, filename, digest, marks, *raw.info["size"], numbers)

"""Records -> small grayscale PNGs, on all cores. What cannot be read comes back with its reason."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from data.pixels import UnreadableImageError
from data.preparation import Preparation
from data.record import Dropped, Record, drop


@dataclass(frozen=True)
class Prepared:
    """A record and its image in the dataset; `digest` is the SHA-256 of the image's pixels."""

    record: Record
    filename: str
    digest: str

    def of_patient(self, patient_id: str) -> "Prepared":
        return replace(self, record=replace(self.record, patient_id=patient_id))


def prepare(
    records: Sequence[Record], folder: Path, preparation: Preparation, workers: int
) -> Iterator[Prepared | Dropped]:
    """Writes each record's image, prepared, as `folder/<source>-<row>.png`; yields in order."""
    job = partial(_prepare_one, folder=folder, preparation=preparation)
    if workers <= 1:
        yield from map(job, records)
        return
    # Fresh processes: a fork would copy whatever threads the caller runs.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(job, records, chunksize=8)


def _prepare_one(record: Record, folder: Path, preparation: Preparation) -> Prepared | Dropped:
    from data.radiograph import read_radiograph

    try:
        image = preparation(read_radiograph(record.path))
        record = _with_header(record)
    except UnreadableImageError as error:
        return drop(record, str(error).removeprefix(f"{record.path}: "))
    filename = f"{record.source}-{record.row:05d}.png"
    image.save(
        folder / filename, compress_level=3
    )  # level 6 is 8 % smaller and takes twice as long
    return Prepared(record, filename, hashlib.sha256(image.tobytes()).hexdigest())


def _with_header(record: Record) -> Record:
    """The record with what its DICOM header tells and the source's table did not."""
    if record.path.suffix.lower() != ".dcm":
        return record
    from data.dicom import read_header

    header = read_header(record.path)
    return replace(record, **{name: getattr(record, name) or header[name] for name in header})

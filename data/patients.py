"""The person behind each image: ids that share an image are one person, entered twice."""

import logging
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence

MOST_SHOWN = 3

log = logging.getLogger(__name__)


def join_patients(patients: Sequence[str], images: Sequence[Hashable]) -> list[str]:
    """The patient of each row; ids that share an image become the first of them.

    patients, images: of each row, in one order. An empty image joins nobody. Union-find with path
    halving, nearly linear in the number of rows.
    """
    parent = {patient: patient for patient in patients}

    def root(patient: str) -> str:
        while parent[patient] != patient:
            parent[patient] = parent[parent[patient]]
            patient = parent[patient]
        return patient

    owner: dict[Hashable, str] = {}
    order = {patient: k for k, patient in enumerate(parent)}
    for patient, image in zip(patients, images, strict=True):
        if image:
            first, second = sorted(
                (root(patient), root(owner.setdefault(image, patient))), key=order.get
            )
            parent[second] = first
    return [root(patient) for patient in patients]


def join_copies(patients: Iterable[str], duplicates: Iterable[Mapping]) -> list[str]:
    """`join_patients` of the rows of metadata whose radiographs are one where dataset.json says so.

    duplicates: its groups of copies.
    """
    rows = [(patient, 0) for patient in patients]
    groups = [
        (image["patient_id"], number)
        for number, group in enumerate(duplicates, start=1)
        for image in group["images"]
    ]
    return join_patients(*zip(*rows, *groups, strict=True))[: len(rows)] if rows else []


def join_equal_numbers(ids: Sequence[str], where: str) -> list[str]:
    """The ids of a table's rows; those of one number, such as `5`, `5.0` and `0005`, as the first.

    Spreadsheets rewrite numbers. Two people who are taken for one stay in one split, which does no
    harm; one person taken for two may be in both. A warning names them, and the table, `where`.
    """
    spellings: dict[str, dict[str, None]] = {}
    for name in ids:
        spellings.setdefault(_number(name), {})[name] = None
    joined = [" = ".join(names) for names in spellings.values() if len(names) > 1]
    if joined:
        some = ", ".join(joined[:MOST_SHOWN]) + (", ..." if len(joined) > MOST_SHOWN else "")
        log.warning("%s: patient ids that are one number count as one patient: %s", where, some)
    return [next(iter(spellings[_number(name)])) for name in ids]


def _number(name: str) -> str:
    """An id without what does not change its number; another text as it is."""
    number = re.fullmatch(r"0*(\d+)(?:[.,]0*)?", name, re.ASCII)
    return number[1] if number else name

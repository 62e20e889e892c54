"""A reviewer's decisions on the labels of films, which generate_dataset.py --corrections applies.

    FILE.csv   source, original   of a film, as the metadata of a dataset name it
               decision           a label, `leave out`, or nothing, which keeps the film as it is

evaluate.py --suspects writes such a file; its other columns are for the reviewer, and not read. A
film is known by its source and its file there, which a new dataset of the sources does not change.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from data.copies.groups import all_copies
from data.prepare import Prepared
from data.record import Dropped, Record, bare, clean_label, csv_text
from data.selection.exclusions import leave_out
from data.sources.tables import read_rows

COLUMNS = ("source", "original", "decision")
LEAVE_OUT = "leave out"
Film = tuple[str, str]  # source, original


def read_corrections(files: Sequence[str], records: Sequence[Record]) -> dict[Film, str]:
    """The decision on each film that has one: a label, or LEAVE_OUT.

    records: of all sources. FileNotFoundError or ValueError for a file that is not such a table,
    a film or a label that no record has, and two decisions on one film.
    """
    films = {film_of(record) for record in records}
    labels = sorted({record.label for record in records})
    decisions = {}
    for path in map(Path, files):
        if not path.is_file():
            expected = f"expected a CSV with the columns {', '.join(COLUMNS)}"
            raise FileNotFoundError(f"{path}: not a file; {expected}")
        for number, row in enumerate(read_rows(path, COLUMNS), start=1):
            if not row["decision"]:
                continue
            film, where = (row["source"], row["original"]), f"{path}: row {number}"
            if film not in films:
                found = f"found {film[1]} of the source {film[0]}"
                raise ValueError(f"{where}: {found}; expected a film of the sources given")
            decision = _clean(row["decision"], labels, where)
            if (other := decisions.setdefault(film, decision)) != decision:
                found = f"found {decision} for {film[1]}, which an earlier row has as {other}"
                raise ValueError(f"{where}: {found}; expected one decision on a film")
    return decisions


def film_of(record: Record) -> Film:
    """As a table holds them."""
    return csv_text(record.source).strip(), csv_text(record.original).strip()


def _clean(text: str, labels: Sequence[str], where: str) -> str:
    if bare(text) == bare(LEAVE_OUT):
        return LEAVE_OUT
    label = text if text in labels else clean_label(text)
    if label not in labels:
        known = ", ".join([*labels, LEAVE_OUT])
        raise ValueError(f"{where}: found decision {text}; expected one of {known}, or nothing")
    return label


def correct(
    images: Sequence[Prepared], decisions: Mapping[Film, str]
) -> tuple[list[Prepared], list[Dropped], dict]:
    """The images, under the labels decided on; those left out; and what dataset.json says of it:
    how many labels were changed, how many images left out, and each film with a decision, under
    the label that it had.

    A decision on a film also holds for the copies of its radiograph that have the same label and no
    decision of their own: else a copy would bring back what was left out, or contradict the new
    label, and then all of them would be left out.
    """
    decided = {
        k: decisions[film]
        for k, image in enumerate(images)
        if (film := film_of(image.record)) in decisions
    }
    reasons = {k: "left out by a reviewer" for k, to in decided.items() if to == LEAVE_OUT}
    for copies in _copies_of_one_label(images):
        of_copies = {decided[k] for k in copies if k in decided}
        if len(of_copies) == 1:
            decided |= dict.fromkeys(copies, *of_copies)
            if of_copies == {LEAVE_OUT}:
                reasons = dict.fromkeys(copies, "a reviewer left a copy of it out") | reasons
    films, labelled = [], list(images)
    for k, decision in sorted(decided.items()):
        source, original = film_of(images[k].record)
        label = images[k].record.label
        films.append({"source": source, "original": original, "label": label, "decision": decision})
        if k not in reasons:
            labelled[k] = images[k].with_label(decision)
    changed = sum(film["decision"] not in (film["label"], LEAVE_OUT) for film in films)
    about = {"changed": changed, "left_out": len(reasons), "films": films}
    return *leave_out(labelled, reasons), about


def _copies_of_one_label(images: Sequence[Prepared]) -> Iterator[list[int]]:
    for group in all_copies(images):
        of_label = defaultdict(list)
        for k in group:
            of_label[images[k].record.label].append(k)
        yield from of_label.values()

"""The splits a patient may go to, by the source's own or an earlier dataset."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from data.record import Record
from data.split import SPLITS

Splits = Collection[str]
MOST_SHOWN = 12  # patients that get a warning of their own

log = logging.getLogger(__name__)


def earlier_splits(
    tables: Mapping[str, Iterable[Mapping[str, str]]], duplicates: Iterable[Mapping]
) -> dict[str, str]:
    """Where an earlier dataset has its patients and images: `patient_id` or `source/file` -> split.

    tables: split -> the rows of its metadata. duplicates: its groups of copies, as in dataset.json.
    Images count too, because a patient entered under two ids has only one of them in the tables;
    copies count because the tables hold only the first of each group of exact copies.
    """
    split_of = {}
    for split, rows in tables.items():
        for row in rows:
            split_of[row["patient_id"]] = split
            split_of[_name(row["source"], row["original"])] = split
    for group in duplicates:
        names = [_name(image["source"], image["original"]) for image in group["images"]]
        split = next((split_of[name] for name in names if name in split_of), None)
        if split:
            for name, image in zip(names, group["images"], strict=True):
                split_of.setdefault(name, split)
                split_of.setdefault(image["patient_id"], split)
    return split_of


def _name(source: str, original: str) -> str:
    return f"{source}/{original}"


def split_rules(record: Record, earlier: Mapping[str, str]) -> list[Splits]:
    """The splits to which each rule allows this record's patient; empty where no rule applies.

    earlier: the result of `earlier_splits`, which overrules a source's own split.
    """
    before = {
        earlier.get(record.patient_id), earlier.get(_name(record.source, record.original))
    }  # fmt: skip
    if rules := [(split,) for split in SPLITS if split in before]:
        return rules
    return [record.splits] if record.splits else []


def allowed_splits(
    patients: Sequence[str], rules: Sequence[Sequence[Splits]]
) -> dict[str, list[str]]:
    """The splits that all rules together allow each patient; patients without a rule are left out.

    patients, rules: of each image, in one order. A patient whose rules contradict each other gets a
    warning and goes to the first of train, val and test: a model that learned from the source's own
    split, or from the earlier dataset, has seen that patient.
    """
    of_patient = defaultdict(list)
    for patient, of_image in zip(patients, rules, strict=True):
        of_patient[patient].extend(of_image)
    allowed, warnings = {}, []
    for patient, sets in of_patient.items():
        if not sets:
            continue
        common = set(SPLITS).intersection(*sets)
        if not common:
            common = {next(split for split in SPLITS if any(split in one for one in sets))}
            named = " and ".join(dict.fromkeys(" or ".join(one) for one in sets))
            warnings.append((patient, named, *common))
        allowed[patient] = [split for split in SPLITS if split in common]
    if allowed:
        log.info("%d of %d patients are bound to a split", len(allowed), len(of_patient))
    for warning in warnings[:MOST_SHOWN]:
        log.warning(
            "%s: is in %s of its source's own split or the earlier dataset; goes to %s", *warning
        )
    if len(warnings) > MOST_SHOWN:
        log.warning("... and so are %d more patients", len(warnings) - MOST_SHOWN)
    return allowed

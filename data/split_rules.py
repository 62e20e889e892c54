"""Where a patient may go: by a source's own split, an earlier dataset, a source held out."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from data.record import Record
from data.split import SPLITS

Places = Collection[str]


def is_of(source: str, name: str) -> bool:
    """Whether a source is the named one or a part of it: `covidx-sirm` is of `covidx`."""
    return source == name or source.startswith(f"{name}-")


def earlier_places(
    tables: Mapping[str, Iterable[Mapping[str, str]]], duplicates: Iterable[Mapping]
) -> dict[str, str]:
    """Where an earlier dataset has its patients and images: `patient_id` or `source/file` -> split.

    tables: split -> the rows of its metadata. duplicates: its groups of copies, as in dataset.json.
    By image too, because a patient that was entered under two ids has one of them there, and may
    have the other one now; and by copy, because of exact copies the tables have the first alone.
    """
    places = {}
    for split, rows in tables.items():
        for row in rows:
            places[row["patient_id"]] = split
            places[_name(row["source"], row["original"])] = split
    for group in duplicates:
        names = [_name(image["source"], image["original"]) for image in group["images"]]
        split = next((places[name] for name in names if name in places), None)
        if split:
            for name, image in zip(names, group["images"], strict=True):
                places.setdefault(name, split)
                places.setdefault(image["patient_id"], split)
    return places


def _name(source: str, original: str) -> str:
    return f"{source}/{original}"


def allowed_places(
    record: Record, earlier: Mapping[str, str], hold_out: str | None
) -> list[Places]:
    """What this record's patient may go to by each rule; none where no rule has a say.

    A source that is held out goes before an earlier dataset, and that before a source's own split.
    """
    if hold_out:
        return [("test",) if is_of(record.source, hold_out) else ("train", "val")]
    before = {
        earlier.get(record.patient_id), earlier.get(_name(record.source, record.original))
    }  # fmt: skip
    if places := [(split,) for split in SPLITS if split in before]:
        return places
    return [record.splits] if record.splits else []


def settle_patients(
    patients: Sequence[str], places: Sequence[Sequence[Places]]
) -> tuple[dict[str, Places], dict[str, str]]:
    """What is left for each patient when all rules are taken together, and who is torn.

    Both are of each image, in one order; a patient without a rule is not in the result. A patient
    whom the rules send to several splits goes to the first of train, val and test: a model that
    learned from the source's own split, or from the earlier dataset, has seen that patient. The
    second result has these patients and what the rules say of them.
    """
    rules = defaultdict(list)
    for patient, sets in zip(patients, places, strict=True):
        rules[patient].extend(sets)
    allowed, torn = {}, {}
    for patient, sets in rules.items():
        if not sets:
            continue
        common = set(SPLITS).intersection(*sets)
        if not common:
            named = [split for split in SPLITS if any(split in places for places in sets)]
            common = {named[0]}
            torn[patient] = " and ".join(dict.fromkeys(" or ".join(places) for places in sets))
        allowed[patient] = [split for split in SPLITS if split in common]
    return allowed, torn

"""What to do with images that occur more than once: one is kept, and their patients are one."""

from collections import defaultdict
from collections.abc import Sequence

from data.patients import join_patients
from data.prepare import Prepared
from data.record import Dropped, drop

Group = list[int]  # places in the list of images, ascending


def exact_groups(images: Sequence[Prepared]) -> list[Group]:
    """The images that have the very same pixels, two or more in a group."""
    groups = defaultdict(list)
    for place, image in enumerate(images):
        groups[image.digest].append(place)
    return [group for group in groups.values() if len(group) > 1]


def join_groups(images: Sequence[Prepared], groups: Sequence[Group]) -> list[Prepared]:
    """The images, those of a group with one patient: who shares a radiograph shares a split."""
    rows = [(image.record.patient_id, "") for image in images]
    rows += [(rows[place][0], f"group {k}") for k, group in enumerate(groups) for place in group]
    patients = join_patients([patient for patient, _ in rows], [group for _, group in rows])
    return [image.of_patient(patient) for image, patient in zip(images, patients, strict=False)]


def keep_first(
    images: Sequence[Prepared], groups: Sequence[Group]
) -> tuple[list[Prepared], list[Dropped]]:
    """Of each group of exact copies the first; none of a group whose labels differ."""
    reasons = {}
    for group in groups:
        first = images[group[0]].record
        if len({images[place].record.label for place in group}) > 1:
            for place in group:
                reasons[place] = "its copies have another label: " + ", ".join(
                    sorted({images[other].record.label for other in group})
                )
        else:
            name = f"{first.source} row {first.row}"
            reasons |= dict.fromkeys(group[1:], f"the same image as {name}")
    kept = [image for place, image in enumerate(images) if place not in reasons]
    return kept, [drop(images[place].record, reason) for place, reason in reasons.items()]


def list_groups(
    images: Sequence[Prepared], exact: Sequence[Group], near: Sequence[Group]
) -> list[dict]:
    """Every group with what is known of its images, for dataset.json."""
    names = ("source", "row", "original", "patient_id", "label")
    return [
        {
            "kind": kind,
            "images": [
                {name: getattr(images[place].record, name) for name in names} for place in group
            ],
        }
        for kind, groups in (("exact", exact), ("near", near))
        for group in groups
    ]

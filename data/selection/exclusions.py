"""Which readable images are left out of a dataset, and why. `data.prepare` drops the unreadable."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from data.copies.groups import all_copies, exact_groups
from data.prepare import Prepared
from data.record import Dropped, drop

# Names that mean the same in all public sources; those of a user's own folders may mean anything.
KNOWN = {"normal", "pneumonia", "COVID-19", "negative", "positive"}
COMPATIBLE = ({"positive", "COVID-19"}, {"negative", "normal"}, {"negative", "pneumonia"})


def exclude_unwanted(
    images: Sequence[Prepared], views: Collection[str]
) -> tuple[list[Prepared], list[Dropped]]:
    """Leaves out other views than `views`."""
    reasons = {
        k: f"view {image.record.view or 'unknown'}, not one of {', '.join(views)}"
        for k, image in enumerate(images)
        if image.record.view not in views and (image.record.view or not image.record.frontal)
    }
    return leave_out(images, reasons)


def exclude_copies(images: Sequence[Prepared]) -> tuple[list[Prepared], list[Dropped]]:
    """Leaves out all exact copies but the first, and every copy whose labels contradict each other.

    The other near copies stay: they have one patient, and so one split.
    """
    reasons = {}
    for group in all_copies(images):
        records = [images[k].record for k in group]
        if contradict({(record.source, record.label) for record in records}):
            labels = ", ".join(sorted({record.label for record in records}))
            reasons |= dict.fromkeys(group, f"copies of it have the labels {labels}")
    for group in exact_groups(images):
        first = images[group[0]].record
        for k in group[1:]:
            reasons.setdefault(k, f"the same image as {first.source} row {first.row}")
    return leave_out(images, reasons)


def contradict(named: Collection[tuple[str, str]]) -> bool:
    """Whether no image can have all these (source, label) pairs.

    Within a source, different names mean different things; across sources only the KNOWN ones do.
    COVIDx has wider names too: its `negative` is normal or pneumonia.
    """
    by_source = defaultdict(set)
    for source, label in named:
        by_source[source].add(label)
    sets = [*by_source.values(), KNOWN & {label for _, label in named}]
    return any(
        len(labels) > 1 and not any(labels <= wider for wider in COMPATIBLE) for labels in sets
    )


def leave_out(
    images: Sequence[Prepared], reasons: Mapping[int, str]
) -> tuple[list[Prepared], list[Dropped]]:
    """The images without a reason, and those with one; reasons: by index in `images`."""
    kept = [image for k, image in enumerate(images) if k not in reasons]
    return kept, [drop(images[k].record, reason) for k, reason in reasons.items()]

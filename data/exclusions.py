"""Which images that can be read are left out all the same, and why."""

from collections.abc import Collection, Sequence

from data.record import Record
from data.split_rules import is_of


def other_views(records: Sequence[Record], views: Collection[str]) -> dict[int, str]:
    """The images of a view that is not asked for: index -> reason."""
    return {
        k: f"view {record.view or 'unknown'}, not one of {', '.join(views)}"
        for k, record in enumerate(records)
        if record.view not in views and (record.view or not record.frontal)
    }


def outsiders(records: Sequence[Record], hold_out: str | None) -> dict[int, str]:
    """The images of other sources whose patient has one in the source held out: index -> reason.

    That patient belongs to test, and test to the source held out alone.
    """
    if not hold_out:
        return {}
    inside = {record.patient_id for record in records if is_of(record.source, hold_out)}
    return {
        k: f"its patient is also in {hold_out}, which is held out"
        for k, record in enumerate(records)
        if record.patient_id in inside and not is_of(record.source, hold_out)
    }

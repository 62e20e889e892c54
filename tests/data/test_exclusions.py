"""Which readable images are left out."""

from pathlib import Path

from data.exclusions import other_views, outsiders
from data.record import Record


def record(patient="covidx:7", source="covidx", view="PA", frontal=False):
    return Record(
        source, 1, Path("a.png"), "normal", patient, "normal", "a.png", view=view, frontal=frontal
    )


def test_an_unknown_view_is_kept_of_frontal_sources_alone():
    records = [record(), record(view=""), record(view="", frontal=True), record(view="L")]
    lateral = record(view="L", frontal=True)
    assert other_views([*records, lateral], ["PA", "AP"]) == {
        1: "view unknown, not one of PA, AP",
        3: "view L, not one of PA, AP",
        4: "view L, not one of PA, AP",
    }


def test_images_of_a_patient_of_the_source_held_out_are_left_out_elsewhere():
    records = [
        record(),
        record(source="covidx-sirm"),
        record(source="rsna"),
        record("rsna:5", "rsna"),
    ]
    assert outsiders(records, "covidx") == {2: "its patient is also in covidx, which is held out"}
    assert outsiders(records, None) == {}

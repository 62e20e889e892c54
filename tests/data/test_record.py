from pathlib import Path

import pytest

from data.record import Dropped, Record, clean_age, clean_sex, clean_view, drop


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        *((raw, "PA") for raw in ("PA", "pa", "Pa ")),
        ("AP", "AP"),
        *((raw, "AP Supine") for raw in ("AP Supine", "ap supine", "AP SUPINE ")),
        ("AP  erect", "AP Erect"),
        *((raw, "L") for raw in ("L", "l")),
        ("LL", "LL"),
        ("axial", "Axial"),
        ("Coronal", "Coronal"),
        *((raw, "") for raw in ("", "  ")),
    ],
)
def test_a_view_has_one_spelling(raw, clean):
    assert clean_view(raw) == clean
    assert clean_view(clean) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        *((raw, "M") for raw in ("M", "m", "male")),
        *((raw, "F") for raw in ("F", " f ", "Female")),
        *((raw, "") for raw in ("O", "Unknown", "")),
    ],
)
def test_a_sex_is_m_or_f_or_not_known(raw, clean):
    assert clean_sex(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        *((raw, "51") for raw in ("51", " 51 ", "051Y", "051y")),
        ("65.0", "65"),
        *((raw, "0") for raw in ("0", "011M")),
        *((raw, "1") for raw in ("18M", "104W", "400D")),
        ("105W", "2"),
        ("120", "120"),
        *((raw, "") for raw in ("148", "412", "-1", "nan", "inf", "70s", "Y", "unknown", "")),
    ],
)
def test_an_age_is_in_whole_years_that_a_person_can_have(raw, clean):
    assert clean_age(raw) == clean


def test_a_dropped_record_keeps_its_row_and_names_the_reason():
    record = Record("rsna", 7, Path("a.dcm"), "normal", "rsna:1", "Normal", "images/a.dcm")
    assert drop(record, "broken") == Dropped("rsna", 7, "images/a.dcm", "Normal", "broken")

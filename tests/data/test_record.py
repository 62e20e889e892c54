from pathlib import Path

import pytest

from data.record import Dropped, Record, clean_age, clean_sex, clean_view, drop


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("PA", "PA"),
        ("pa", "PA"),
        ("Pa ", "PA"),
        ("AP", "AP"),
        ("AP Supine", "AP Supine"),
        ("ap supine", "AP Supine"),
        ("AP SUPINE ", "AP Supine"),
        ("AP  erect", "AP Erect"),
        ("L", "L"),
        ("l", "L"),
        ("LL", "LL"),
        ("axial", "Axial"),
        ("Coronal", "Coronal"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_a_view_has_one_spelling(raw, clean):
    assert clean_view(raw) == clean
    assert clean_view(clean) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("M", "M"),
        ("F", "F"),
        ("m", "M"),
        (" f ", "F"),
        ("male", "M"),
        ("Female", "F"),
        ("O", ""),
        ("Unknown", ""),
        ("", ""),
    ],
)
def test_a_sex_is_m_or_f_or_not_known(raw, clean):
    assert clean_sex(raw) == clean


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("51", "51"),
        (" 51 ", "51"),
        ("051Y", "51"),
        ("051y", "51"),
        ("65.0", "65"),
        ("0", "0"),
        ("18M", "1"),
        ("011M", "0"),
        ("104W", "1"),
        ("105W", "2"),
        ("400D", "1"),
        ("120", "120"),
        ("148", ""),  # RSNA has both of these
        ("412", ""),
        ("-1", ""),
        ("nan", ""),
        ("inf", ""),
        ("70s", ""),
        ("Y", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_an_age_is_in_whole_years_that_a_person_can_have(raw, clean):
    assert clean_age(raw) == clean


def test_a_dropped_record_keeps_its_row_and_names_the_reason():
    record = Record("rsna", 7, Path("a.dcm"), "normal", "rsna:1", "Normal", "images/a.dcm")
    assert drop(record, "broken") == Dropped("rsna", 7, "images/a.dcm", "Normal", "broken")

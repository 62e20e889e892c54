"""The label sheet: a page that needs nothing else, and a table with room for decisions."""

import csv
import re

import pandas as pd
import pytest

from tests.util.report.test_write import HOSTILE, picture
from util.report.label_sheet import write_label_sheet

SUMMARY = {"classes": ["normal", "COVID-19"], "images": 90, "patients": 70, "suspects": 12}


@pytest.fixture
def sheet(tmp_path):
    def sheet(number=1, **changes):
        row = {
            "filename": "rsna-00001.png", "label": "normal", "patient_id": "rsna:1",
            "source": "rsna", "view": "", "hospital": "NIH", "original": "a/1.dcm", "fold": 2,
            "truth": "normal", "logit(normal)": -3.0, "p(normal)": 0.1, "p(COVID-19)": 0.9,
            "predicted": "COVID-19", "probability": 0.9, "doubt": 3.14, "alike": 40,
        }  # fmt: skip
        films = pd.DataFrame([row | changes] * number)
        page = write_label_sheet(tmp_path, films, [picture()] * number, SUMMARY)
        assert (tmp_path / "suspects.csv").read_bytes().startswith(b"\xef\xbb\xbf")  # for Excel
        with (tmp_path / "suspects.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        return page.read_text(), (tmp_path / "report.md").read_text(), rows

    return sheet


def test_a_film_has_what_is_known_of_it_and_what_it_is_doubted_for(sheet):
    page, text, rows = sheet(2)
    said = "2. Label normal, doubted for COVID-19, which has 0.900; doubt 3.1. rsna, NIH, unknown "
    said += "view. Patient rsna:1. One of 40 films of rsna with this label. a/1.dcm"
    assert said in page
    assert "name 12 images otherwise than the label. Here are the 2 whose" in page
    for each in (page, text):
        assert "not a medical device" in each
        assert "decision" in each
    assert list(rows[1])[:4] == ["number", "decision", "label", "predicted"]
    assert [row["number"] for row in rows] == ["1", "2"]
    assert {row["decision"] for row in rows} == {""}
    known = {"source": "rsna", "original": "a/1.dcm", "fold": "2", "p(COVID-19)": "0.9"}
    assert known.items() <= rows[1].items()
    assert not {"truth", "logit(normal)"} & rows[1].keys()


def test_the_page_holds_its_pictures_and_names_from_outside_are_escaped(sheet, tmp_path):
    page, text, rows = sheet(
        label=HOSTILE, source=HOSTILE, hospital=HOSTILE, patient_id=HOSTILE, original=HOSTILE
    )
    for each in (page, text):
        assert "<script" not in each
    assert page.count("data:image/png;base64,") == 1
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "default-src 'none'" in page
    assert rows[0]["original"] == HOSTILE


def test_pictures_of_an_earlier_sheet_go(sheet, tmp_path):
    for number in (101, 3):
        sheet(number)
        assert len(list((tmp_path / "gallery").iterdir())) == number

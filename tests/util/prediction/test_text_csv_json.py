"""Rows of predictions in three formats: one line each, whatever a file is called."""

import csv
import io
import json
import os

import pytest

from util.prediction.text_csv_json import LINES, csv_lines, json_lines, printable, text_lines

CLASSES = ["normal", "a, b + c"]
NAMES = [
    "a.png", "two\nlines.png", "tab\t.png", "\r.png", 'quote".png', "comma,.png", "Röntgen.png",
    "胸部.png", "\x1b[2Jclear.png", "right\u202eto-left.png", "line\u2028.png", "\U0001f600.png",
    os.fsdecode(b"broken\xff\xfe.png"), "",
]  # fmt: skip


def row(file, error=None):
    chances = {} if error else {"normal": 0.25, "a, b + c": 0.75}
    return {
        "file": file,
        "label": None if error else "a, b + c",
        "probabilities": chances,
        "doubtful": None,
        "checkpoint": "best.pth@01234567",
        "error": error,
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["text", "csv"])
def test_a_row_is_one_printable_line_whatever_the_file_is_called(form, name):
    rows = [row(name), row(name, error=f"cannot read {name}")]
    lines = "".join(LINES[form](rows, CLASSES)).splitlines()
    assert len(lines) == 2 + (form == "csv")
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_json_is_utf8_and_gives_back_the_very_name(name):
    rows = [row(name), row(name, error="why")]
    text = "".join(json_lines(rows, CLASSES)).encode()  # surrogates would raise
    assert json.loads(text) == rows


def test_no_rows_are_a_list_too():
    assert json.loads("".join(json_lines([], CLASSES))) == []


def test_csv_has_a_column_for_each_class_and_the_error_last():
    failed, doubted = row("a.png", "why"), {**row("b.png"), "doubtful": "blank"}
    text = "".join(csv_lines([failed, doubted], CLASSES))
    first, second = csv.DictReader(io.StringIO(text))
    assert list(first) == ["file", "label", *CLASSES, "doubtful", "checkpoint", "error"]
    assert (first["label"], first["normal"], first["error"]) == ("", "", "why")
    assert (second["a, b + c"], second["doubtful"], second["error"]) == ("0.75", "blank", "")


def test_text_says_what_is_wrong_or_doubtful():
    doubted = {**row("b.png"), "doubtful": "blank"}
    assert list(text_lines([row("a.png", "why"), doubted], CLASSES)) == [
        "a.png: error: why\n",
        "b.png: a, b + c (normal 0.250, a, b + c 0.750); doubtful: blank\n",
    ]


@pytest.mark.parametrize("form", LINES)
def test_a_row_is_written_before_the_next_is_asked_for(form):
    asked = []

    def rows():
        for k in range(100):
            asked.append(k)
            yield row(f"{k}.png")

    lines = LINES[form](rows(), CLASSES)
    for _ in range(5):
        next(lines)
    assert len(asked) <= 5


def test_letters_of_any_language_are_printable():
    assert printable("Röntgen 胸部") == "Röntgen 胸部"
    assert printable("a\nb\x00\udcff") == "a\\nb\\x00\\udcff"

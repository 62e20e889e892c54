"""A reviewer's decisions on films: read, and applied to them and their copies."""

from dataclasses import replace

import pytest

from data.selection.corrections import LEAVE_OUT, correct, read_corrections
from tests.data.selection.test_exclusions import image

FILMS = [("rsna", "a/1.dcm", "normal"), ("rsna", "a/2.dcm", "pneumonia"), ("own", "1", "COVID-19")]


def film(source, original, label, digest="", near=None, row=1):
    made = image(row, digest or f"{source} {original}", source=source, label=label)
    return replace(made, record=replace(made.record, original=original), near_group=near)


RECORDS = [film(*known).record for known in FILMS]


@pytest.fixture
def read(tmp_path):
    def read(*texts):
        files = [tmp_path / f"{number}.csv" for number in range(len(texts))]
        for file, text in zip(files, texts, strict=True):
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_corrections([str(file) for file in files], RECORDS)

    return read


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("decision,label,source,original\npneumonia,normal,rsna,a/1.dcm\n", "pneumonia"),
        ("source;original;Decision\r\nrsna;a/1.dcm; covid 19 \r\n", "COVID-19"),  # as Excel saves
        ("\ufeffsource,original,decision\nrsna,a/1.dcm,Leave-out\n", LEAVE_OUT),
        ("source\toriginal\tdecision\nrsna\ta/1.dcm\tnormal\n".encode("utf-16"), "normal"),
        ("source,original,decision\nrsna,a/1.dcm,\nrsna,a/1.dcm,normal\n", "normal"),
    ],
)
def test_a_decision_is_read_as_a_spreadsheet_leaves_it(read, text, decision):
    assert read(text) == {("rsna", "a/1.dcm"): decision}


def test_films_without_a_decision_and_several_files_are_one_table(read):
    head = "source,original,decision\n"
    several = (f"{head}rsna,a/1.dcm,leave out\nrsna,gone.dcm,\n", f"{head}own,1,normal\n", head)
    assert read(*several) == {("rsna", "a/1.dcm"): LEAVE_OUT, ("own", "1"): "normal"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("rsna,b.dcm,normal", "row 2: found b.dcm of the source rsna; expected a film of the sou"),
        ("own,a/1.dcm,normal", "row 2: found a/1.dcm of the source own; expected a film of"),
        ("rsna,a/2.dcm,sick", "row 2: found decision sick; expected one of COVID-19, normal, pneu"),
        ("rsna,a/1.dcm,normal", "row 2: found normal for a/1.dcm, which an earlier row has as lea"),
    ],
)
def test_a_decision_that_cannot_be_applied_is_one_line(read, rows, message):
    with pytest.raises(ValueError, match=f"0.csv: {message}"):
        read(f"source,original,decision\nrsna,a/1.dcm,leave out\n{rows}\n")


def test_another_table_and_a_file_that_is_not_there_are_one_line(read, tmp_path):
    with pytest.raises(ValueError, match="found columns source, label; expected also original, de"):
        read("source,label\n")
    with pytest.raises(FileNotFoundError, match="not a file; expected a CSV with the columns sou"):
        read_corrections([str(tmp_path / "none.csv")], RECORDS)


def labels_and_reasons(images, decisions):
    kept, dropped, about = correct(images, decisions)
    rows = {item.record.row: item.record.label for item in kept}
    return rows | {item.row: f"- {item.reason}" for item in dropped}, about


def test_a_label_is_changed_confirmed_or_left_out_and_all_is_told():
    images = [film(*known, row=row) for row, known in enumerate([*FILMS, FILMS[0]], start=1)]
    images[3] = film("rsna", "a/4.dcm", "normal", row=4)
    decisions = {
        ("rsna", "a/1.dcm"): "COVID-19", ("rsna", "a/2.dcm"): "pneumonia", ("own", "1"): LEAVE_OUT
    }  # fmt: skip
    found, about = labels_and_reasons(images, decisions)
    assert found == {1: "COVID-19", 2: "pneumonia", 3: "- left out by a reviewer", 4: "normal"}
    assert (about["changed"], about["left_out"]) == (1, 1)
    assert about["films"] == [
        {"source": source, "original": original, "label": label, "decision": decision}
        for (source, original, label), decision in zip(FILMS, decisions.values(), strict=True)
    ]


COPIES = [  # 1 and 2 are exact copies, 3 is a near one, 4 a near one with another label
    film("rsna", "1", "normal", "same", 7, 1), film("own", "2", "normal", "same", None, 2),
    film("own", "3", "normal", "", 7, 3), film("own", "4", "pneumonia", "", 7, 4),
    film("own", "5", "normal", "", None, 5),
]  # fmt: skip
A_COPY = "- a reviewer left a copy of it out"


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ({"2": "COVID-19"}, ["COVID-19", "COVID-19", "COVID-19", "pneumonia", "normal"]),
        ({"1": LEAVE_OUT}, ["- left out by a reviewer", A_COPY, A_COPY, "pneumonia", "normal"]),
        ({"4": "normal"}, ["normal", "normal", "normal", "normal", "normal"]),
        (  # each copy as decided, and the undecided one as it was
            {"1": "COVID-19", "2": LEAVE_OUT},
            ["COVID-19", "- left out by a reviewer", "normal", "pneumonia", "normal"],
        ),
    ],
)
def test_a_decision_holds_for_copies_with_the_same_label_and_none_of_their_own(decisions, expected):
    films = {image.record.original: image.record.source for image in COPIES}
    given = {(films[original], original): to for original, to in decisions.items()}
    found, about = labels_and_reasons(COPIES, given)
    assert [found[row] for row in range(1, 6)] == expected
    touched = [k for k, (image, to) in enumerate(zip(COPIES, expected, strict=True))
               if to != image.record.label]  # fmt: skip
    assert [film["original"] for film in about["films"]] == [str(k + 1) for k in touched]

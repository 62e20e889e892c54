from data.sources import hannover
from tests.helpers.public_sources import facts, write

EXPECTED = [
    ("COVID-19", "hannover:0a1b2c3d", "AP", "M", ""),
    ("COVID-19", "hannover:0a1b2c3d", "PA", "M", ""),
    ("COVID-19", "hannover:23456789", "AP", "F", "61"),
    ("COVID-19", "hannover:9f8e7d6c", "PA", "F", ""),
    "no file png/99cc00dd.png",
    "the same file as row 3",
]


def test_every_row_becomes_what_it_says(tmp_path):
    assert facts(*hannover.read(write(tmp_path, "hannover"))) == EXPECTED


def test_a_record_says_where_it_comes_from(tmp_path):
    record = hannover.read(write(tmp_path, "hannover"))[0][0]
    assert record == hannover.Record(
        "hannover", 1, tmp_path / "png/11aa22bb.png", "COVID-19", "hannover:0a1b2c3d", "COVID-19",
        "png/11aa22bb.png", view="AP", sex="M", hospital="Hannover Medical School",
        country="Germany", licence="CC BY 3.0",
    )  # fmt: skip

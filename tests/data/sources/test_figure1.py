from data.sources import figure1
from tests.helpers.public_sources import facts, write

EXPECTED = [
    ("COVID-19", "figure1:COVID-00001", "AP Erect", "M", "33"),
    "finding '' is not normal, pneumonia or COVID-19",
    ("COVID-19", "figure1:COVID-00003", "AP", "F", "60"),
    ("COVID-19", "figure1:COVID-00003", "AP", "F", "60"),
    ("normal", "figure1:COVID-00004", "", "", ""),
    ("pneumonia", "figure1:COVID-00005", "", "", ""),
    "no file images/COVID-00006.jpg",
]


def test_every_row_becomes_what_it_says(tmp_path):
    assert facts(*figure1.read(write(tmp_path, "figure1"))) == EXPECTED


def test_a_record_says_where_it_comes_from(tmp_path):
    record = figure1.read(write(tmp_path, "figure1"))[0][2]
    assert record == figure1.Record(
        "figure1", 4, tmp_path / "images/COVID-00003b.png", "COVID-19", "figure1:COVID-00003",
        "COVID-19", "images/COVID-00003b.png", view="AP", sex="F", age="60", frontal=True,
        licence="research only",
    )  # fmt: skip

from data.sources import actualmed
from tests.helpers.public_sources import facts, write

EXPECTED = [
    "finding '' is not normal, pneumonia or COVID-19",  # inconclusive
    ("COVID-19", "actualmed:ANON7", "PA", "", ""),
    ("negative", "actualmed:ANON70", "AP", "M", "50"),
    ("COVID-19", "actualmed:ANON8", "AP", "", ""),
    ("negative", "actualmed:ANON8", "PA", "", ""),  # the same patient, later
    "no file images/CR.1.2.840.16.png",
]


def test_every_row_becomes_what_it_says(tmp_path):
    assert facts(*actualmed.read(write(tmp_path, "actualmed"))) == EXPECTED


def test_a_record_says_where_it_comes_from(tmp_path):
    record = actualmed.read(write(tmp_path, "actualmed"))[0][1]
    assert record == actualmed.Record(
        "actualmed", 3, tmp_path / "images/DX.1.2.840.13.png", "negative", "actualmed:ANON70",
        "No finding", "images/DX.1.2.840.13.png", view="AP", sex="M", age="50", country="Spain",
        licence="research only",
    )  # fmt: skip

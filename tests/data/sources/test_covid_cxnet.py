import logging

from data.sources import covid_cxnet
from tests.helpers.public_sources import facts, write

EXPECTED = [
    ("COVID-19", "covid-cxnet:18", "PA", "M", "67"),
    ("COVID-19", "covid-cxnet:18", "", "M", "67"),
    ("COVID-19", "covid-cxnet:60", "", "", ""),
    ("COVID-19", "covid-cxnet:118", "AP", "F", "38"),  # one of several PCR tests was negative
    ("COVID-19", "covid-cxnet:127", "AP", "M", "1"),
    "finding '' is not normal, pneumonia or COVID-19",
    "no file covid19/757.jpg",
]


def test_every_row_becomes_what_it_says(tmp_path):
    assert facts(*covid_cxnet.read(write(tmp_path, "covid-cxnet"))) == EXPECTED


def test_a_record_says_where_it_comes_from(tmp_path):
    record = covid_cxnet.read(write(tmp_path, "covid-cxnet"))[0][2]
    place = "chest_xray_images/covid19/374.webp"
    assert record == covid_cxnet.Record(
        "covid-cxnet", 3, tmp_path / place, "COVID-19", "covid-cxnet:60", "COVID-19", place,
        frontal=True, country="USA",
    )  # fmt: skip


def test_images_without_a_row_are_copies_of_other_sources_and_are_not_read(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        records, _ = covid_cxnet.read(write(tmp_path, "covid-cxnet"))
    assert not {"001.jpeg", "510.png"} & {record.path.name for record in records}
    assert "covid-cxnet: 2 files in " in caplog.text

"""The server of the page: the rows of `predict` to the last digit, and nothing kept."""

import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from data.images.radiograph import read_radiograph
from data.sample.dicom import write_dicom
from model.prediction import NO_GATE, predict
from model.predictor import Predictor
from page.app import STATIC, make_app
from tests.helpers import systems
from tests.helpers.hostile_files import (
    bombs,
    damaged,
    make,
    no_images,
    oddly_named,
    oddly_shaped,
)
from tests.helpers.networks import CLASSES, input_form, save_folds
from tests.page.conftest import MOST_BYTES
from util.files import write_json
from util.plots.heatmap import COLOURS
from util.prediction.text_csv_json import csv_lines
from util.script import NOTICE

PREVALENCE = {"normal": 0.9, "pneumonia": 0.09, "COVID-19": 0.01}
SCAN = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)


@pytest.fixture
def files(tmp_path):
    """A PNG, a colour photograph, a DICOM file from the side, one that is cut off, and a text."""
    write_dicom(tmp_path / "side.dcm", SCAN, ViewPosition="LL")
    Image.fromarray(SCAN).save(tmp_path / "scan.png")
    Image.fromarray(SCAN).resize((70, 90)).convert("RGB").save(tmp_path / "tall.jpg")
    colours = np.random.default_rng(0).integers(0, 256, (3, 3, 3), np.uint8)
    Image.fromarray(colours).resize((60, 60)).save(tmp_path / "photograph.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "scan.png").read_bytes()[:200])
    (tmp_path / "note.png").write_text("Dear colleague")
    names = ("scan.png", "tall.jpg", "photograph.png", "side.dcm", "cut.png", "note.png")
    return [tmp_path / name for name in names]


def look(client, path, **query):
    answer = client.post("/look", params={"name": str(path)} | query, content=path.read_bytes())
    assert answer.status_code == 200, answer.text
    return answer.json()


def moved(client, looks, prevalence, form, coverage=None):
    body = {"rows": [seen["row"] for seen in looks], "logits": [seen["logits"] for seen in looks]}
    settings = {"prevalence": prevalence, "coverage": coverage, "format": form}
    return client.post("/rows", json=body | settings)


def test_a_row_is_that_of_the_script_to_the_last_digit(client, predictor, files):
    rows = [look(client, path)["row"] for path in files]
    assert rows == list(predict(predictor, files, batch_size=1))
    assert [list(row) for row in rows] == [list(row) for row in predict(predictor, files)]
    assert sum(row["error"] is not None for row in rows) == 2
    assert sum(row["doubtful"] is not None for row in rows) == 2


@pytest.mark.parametrize("prevalence", [None, PREVALENCE], ids=["as in training", "stated"])
def test_rows_of_a_population_are_those_of_the_script_as_json_and_csv(
    client, predictor, files, prevalence
):
    looks = [look(client, path) for path in files]
    wanted = list(predict(predictor, files, batch_size=1, prevalence=prevalence))
    assert moved(client, looks, prevalence, "json").json() == wanted
    table = "".join(csv_lines(wanted, CLASSES))
    assert moved(client, looks, prevalence, "csv").text == table


@pytest.mark.parametrize("prevalence", [None, PREVALENCE], ids=["as in training", "stated"])
def test_rows_with_prediction_sets_are_those_of_the_script(client, predictor, files, prevalence):
    looks = [look(client, path, coverage=0.5) for path in files]
    wanted = list(predict(predictor, files, batch_size=1, coverage=0.5))
    assert [seen["row"] for seen in looks] == wanted
    assert "probabilities, set, set_note, doubtful" in ", ".join(wanted[0])
    settings = {"batch_size": 1, "prevalence": prevalence, "coverage": 0.8}
    wanted = list(predict(predictor, files, **settings))
    assert moved(client, looks, prevalence, "json", 0.8).json() == wanted
    table = "".join(csv_lines(wanted, CLASSES))
    assert moved(client, looks, prevalence, "csv", 0.8).text == table


def test_a_coverage_that_is_not_a_share_is_refused_in_one_line(client, files):
    answers = [
        moved(client, [look(client, files[0], coverage=0.9)], None, "json", 1.5),
        client.post("/look?name=a&coverage=1.5", content=files[0].read_bytes()),
        client.post("/look?name=a&coverage=much", content=files[0].read_bytes()),
    ]
    assert [answer.status_code for answer in answers] == [400] * 3
    said = [answer.json()["error"] for answer in answers]
    assert said[0] == said[1] == "coverage: found 1.5; expected above 0 and below 1, as 0.9"
    assert said[2] == "coverage: found 'much'; expected a share, as 0.9"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prevalence": {"normal": 1}}, "--prevalence: found normal; expected a share of each of"),
        ({"prevalence": {**PREVALENCE, "normal": 0.5}}, "--prevalence: adds up to 0.6; expected 1"),
        ({"prevalence": {**PREVALENCE, "normal": "much"}}, "expected rows"),
        ({"prevalence": [0.9, 0.1]}, "expected rows"),
        ({"coverage": 0.9}, "expected rows"),  # of which none has a set
        ({"coverage": "much"}, "expected rows"),
        ({"rows": [{"file": "a"}]}, "expected rows"),
        ({"rows": [[]]}, "expected rows"),
        ({"rows": 3}, "expected rows"),
        ({"logits": [[1, 2]]}, "expected rows"),
        ({"logits": [[1, 2, "x"]]}, "expected rows"),
        ({"logits": [[1, 2, float("nan")]]}, "expected rows"),
        ({"logits": [[1, 2, 10**400]]}, "expected rows"),
        ({"prevalence": {**PREVALENCE, "normal": 10**400}}, "expected rows"),
        ({"logits": [[0, 0, 0]] * 2}, "expected rows"),
        ({"format": "xml"}, "expected rows"),
    ],
)
def test_what_is_not_a_table_of_rows_or_a_population_is_refused_in_one_line(
    client, files, change, reason
):
    seen = look(client, files[0])
    whole = {"rows": [seen["row"]], "logits": [seen["logits"]], "format": "json"}
    whole |= {"prevalence": None, "coverage": None}
    answer = client.post("/rows", content=json.dumps(whole | change))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(reason)
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("body", ["", "{}", "[]", "[" * 100_000, b"\xff", "9" * 10_000])
def test_what_is_not_even_that_is_refused_too(client, body):
    answer = client.post("/rows", content=body)
    assert (answer.status_code, answer.json()["error"][:13]) == (400, "expected rows")


def test_a_film_comes_in_its_full_size_with_the_part_that_its_heat_map_covers(client, files):
    for path, part in (
        (files[0], "10,0,50,40"),
        (files[1], "0,10,70,80"),
        (files[3], "10,0,50,40"),
    ):
        answer = client.post("/film", content=path.read_bytes())
        with Image.open(io.BytesIO(answer.content), formats=["PNG"]) as film:
            np.testing.assert_array_equal(film, read_radiograph(path))
        assert answer.headers["film-part"] == part


def test_a_film_that_cannot_be_read_is_a_reason(client, files):
    answer = client.post("/film", content=files[-1].read_bytes())
    assert (answer.status_code, answer.json()) == (422, {"error": "not an image: a text file"})


def test_a_heat_map_is_not_negative_and_has_a_cell_for_each_of_the_networks(client, files):
    heat = np.array(look(client, files[0])["heat"])
    assert heat.shape == (8, 8)
    assert heat.min() >= 0 < heat.max()


def test_of_a_folder_only_what_the_script_would_find_there_is_a_row(client, files):
    def row(name, path):
        return look(client, path, name=name, folder="")["row"]

    assert row("set/scan.png", files[0])["file"] == "set/scan.png"
    assert row("set/scan", files[0])
    assert row("set/note.png", files[-1])["error"]
    assert row("set/README", files[-1]) is None
    assert row("set/.cache/scan.png", files[0]) is None


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "C:\\x", "nul\0", "~"])
def test_a_name_is_only_a_name(client, files, name):
    seen = look(client, files[0], name=name)["row"]
    assert (seen["file"], seen["label"] in CLASSES) == (name, True)


def test_no_file_is_opened_for_writing(client, tmp_path):
    """Also for a film beyond the megabyte at which form fields would be put on the disk."""
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (1500, 1500), np.uint8)).save(
        tmp_path / "large.png"
    )
    assert (tmp_path / "large.png").stat().st_size > 2_000_000
    written, watching = [], True

    def watch(event, values):
        if watching and event == "open" and values[2] & (os.O_WRONLY | os.O_RDWR):
            written.append(values[0])

    sys.addaudithook(watch)  # for good: it cannot be taken away
    look(client, tmp_path / "large.png")
    client.post("/film", content=(tmp_path / "large.png").read_bytes())
    assert not written
    (tmp_path / "seen").write_text("")
    assert [str(path) for path in written] == [str(tmp_path / "seen")]
    watching = False


@pytest.mark.parametrize("path", ["/../webpage.py", "/%2e%2e/app.py", "/..%2fapp.py", "/.git"])
def test_no_other_file_of_the_disk_is_served(client, path):
    assert client.get(path).status_code == 404


def test_what_is_not_a_number_is_the_fault_of_the_network(client, predictor, files):
    head = predictor.runtime.network.logits.module
    torch.nn.init.constant_(head.bias, float("nan"))
    answer = client.post("/look?name=a", content=files[0].read_bytes())
    assert answer.status_code == 500
    assert re.fullmatch(
        r"best.pth@\w{8}: its output is not a number; it is broken", answer.json()["error"]
    )


@systems.posix
def test_hostile_files_are_rows_as_for_the_script(client, predictor, tmp_path):
    names = make(tmp_path, few_damaged, oddly_named, oddly_shaped, bombs, no_images)
    files = [path for path in map(Path, names) if usual(path)]
    assert len(files) > 240
    rows = [look(client, path)["row"] for path in files]
    assert [row["error"] for row in rows] == [
        row["error"] for row in predict(predictor, files, batch_size=1)
    ]
    text = moved(client, [{"row": row, "logits": None} for row in rows], None, "csv").text
    assert len(text.splitlines()) == 1 + len(files)


def few_damaged(folder):
    return damaged(folder, 200)


def usual(path):
    """Whether it is a file that a browser would send, and under the same name."""
    try:
        small = path.is_file() and path.stat().st_size <= 3_000_000
        return small and str(path).isprintable() and path.parent.name != "self"
    except (OSError, ValueError):
        return False


def test_the_page_says_what_the_network_is(client, predictor):
    about = client.get("/network").json()
    assert about["classes"] == CLASSES
    assert about["prior"] == [0.2, 0.3, 0.5]
    assert about["no_gate"] == NO_GATE
    assert about["calibrated"]
    assert about["coverage"] == 0.9
    facts = dict(about["card"][1]["rows"])
    assert facts["Classes"] == "normal, pneumonia, COVID-19"
    assert facts["Input"].startswith("32 x 32 pixels, grayscale")
    assert about["most_bytes"] == 3_000_000
    assert about["colours"] == COLOURS.tolist()


def test_the_folds_of_a_run_are_shown_as_one_network(predictor, files, tmp_path):
    folds = Predictor.load(save_folds(tmp_path / "r", input_form((32, 32)), (0.5, 2)), "cpu")
    client = TestClient(make_app(folds, {"127.0.0.1"}, MOST_BYTES), "http://localhost:8000")
    rows = [look(client, path)["row"] for path in files]
    assert rows == list(predict(folds, files, batch_size=1))
    about = client.get("/network").json()
    assert (about["name"][:2], about["calibrated"]) == ("r@", True)
    facts = dict(about["card"][1]["rows"])
    assert facts["Temperature"] == "each network's own"
    assert facts["Images shown in training"] == "near (150); the mean of the networks"
    assert facts["Selection"].startswith("each network's epoch, by its own validation")


def test_a_network_without_prediction_sets_has_none_and_refuses_them_in_one_line(
    client, predictor, files
):
    del predictor.checkpoint["validation"]["patients"]
    assert client.get("/network").json()["coverage"] is None
    answer = client.post("/look?name=a&coverage=0.9", content=files[0].read_bytes())
    assert answer.status_code == 400
    assert "found no validation films of known patients" in answer.json()["error"]
    assert look(client, files[0])["row"]["label"] in CLASSES


def test_the_card_beside_the_network_is_shown_in_the_place_of_its_metadata(client, predictor):
    sections = [{"title": "Films", "text": [], "head": [], "rows": []}]
    card = {"file": "best.pth", "sha256": "", "sections": sections}
    write_json(Path(predictor.path).with_name("card.json"), card)
    assert client.get("/network").json()["card"] == sections
    write_json(Path(predictor.path).with_name("card.json"), card | {"file": "other.pth"})
    assert len(client.get("/network").json()["card"]) == 3


def test_the_page_says_that_it_is_not_a_medical_device_without_a_script(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert NOTICE in page.text


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_nothing_of_the_page_names_another_host_or_puts_text_into_its_markup(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//[a-z]+\.|innerHTML|outerHTML|insertAdjacent|eval\(", text)

"""A thousand files that nobody should be sent: each is a row, and none stops the others."""

import csv
import io
import json
import os

import pytest
import torch

import minimal_prediction
import model.weights
from minimal_prediction import load, predict
from tests.conftest import run_script
from tests.helpers import systems
from tests.helpers.hostile_files import (
    DAMAGED,
    bombs,
    damaged,
    make,
    no_images,
    oddly_named,
    oddly_shaped,
)
from tests.helpers.networks import CLASSES, TinyNext, input_form, save_network

pytestmark = systems.posix


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)
    torch.manual_seed(0)
    form = input_form((32, 32), fit="pad", equalize=True)
    return save_network(tmp_path / "best.pth", TinyNext(3), form)


def test_each_of_a_thousand_hostile_files_is_a_row_with_a_prediction_or_a_reason(
    checkpoint, tmp_path
):
    files = make(tmp_path, damaged, oddly_named, oddly_shaped, bombs, no_images)
    assert len(files) >= 1000
    rows = list(predict(load(checkpoint), files))
    assert [row["file"] for row in rows] == files
    for row in rows:
        if row["error"] is None:
            assert row["label"] in CLASSES
            assert sum(row["probabilities"].values()) == pytest.approx(1)
        else:
            assert row["label"] is None
            assert row["probabilities"] == {}
            assert row["error"].strip()
            assert len(row["error"].splitlines()) == 1
    read = {row["file"] for row in rows if row["error"] is None}
    names = lambda part: {f for f in files if f"/{part}/" in f}  # noqa: E731
    assert names("oddly_named") | names("oddly_shaped") <= read
    assert not names("bombs") & read
    assert not names("no_images") & read
    assert 20 < len(names("damaged") & read) < DAMAGED / 2


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_every_format_has_a_row_for_each_of_them_and_no_traceback(
    checkpoint, tmp_path, capfd, form
):
    wanted = make(tmp_path, oddly_named, bombs, no_images)
    wanted = [file for file in wanted if "\0" not in file]  # what a shell can hand over
    capfd.readouterr()
    with pytest.raises(SystemExit) as stop:
        run_script(minimal_prediction, *wanted, "--checkpoint", checkpoint, "--format", form)
    assert stop.value.code == 1
    seen = capfd.readouterr()
    assert "Traceback" not in seen.out + seen.err
    if form == "json":
        assert [row["file"] for row in json.loads(seen.out)] == wanted
        return
    lines = seen.out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(wanted) + (form == "csv")
    if form == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(seen.out))}) == 1


def test_their_pictures_are_one_for_each_file_that_can_be_read(checkpoint, tmp_path):
    files = make(tmp_path, oddly_named)
    rows = list(predict(load(checkpoint), [*files, "missing.png"], explain=tmp_path / "out"))
    written = {os.fsdecode(path) for path in (tmp_path / "out").iterdir()}
    assert {row["explanation"] for row in rows if not row["error"]} == written
    assert len(written) == len(files)
    assert rows[-1]["explanation"] is None

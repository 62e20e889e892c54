"""minimal_prediction.py: one row per file, in order; the same tensor as everywhere."""

import csv
import io
import json

import pandas as pd
import pytest
import torch
from PIL import Image

import minimal_prediction
import model.weights
from data.dataset import RadiographDataset
from data.transforms import InputFormat
from minimal_prediction import load, predict
from tests.networks import TinyNext
from util.checkpoint import save_checkpoint

CLASSES = ["normal", "pneumonia", "COVID-19"]
FORM = {
    "size": (32, 32),
    "mean": (0.5,) * 3,
    "std": (0.25,) * 3,
    "prepared": {"size": 64, "fit": "squash", "equalize": False},
    "mode": "L",
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "best.pth"
    save_checkpoint(path, {
        "state_dict": TinyNext(3).state_dict(),
        "mapping": {name: k for k, name in enumerate(CLASSES)},
        "input": FORM,
    })  # fmt: skip
    return path


@pytest.fixture
def files(dataset, sources, tmp_path):
    """Good and bad files, in no order: a PNG, a DICOM, none, a text, a cut PNG."""
    good = sorted((dataset / "test").glob("*.png"))[0]
    table = pd.read_csv(dataset / "test_metadata.csv")
    original = table.loc[table["source"] == "rsna", "original"].iloc[0]
    (tmp_path / "note.png").write_text("not an image")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:300])
    return [
        good, tmp_path / "missing.png", sources[1] / original, tmp_path / "note.png",
        tmp_path / "cut.png", good,
    ]  # fmt: skip


def test_there_is_a_row_per_file_in_order_and_bad_files_say_why(checkpoint, files):
    rows = list(predict(load(checkpoint), files, batch_size=2))
    assert [row["file"] for row in rows] == [str(file) for file in files]
    errors = [row["error"] for row in rows]
    assert errors[0] is errors[2] is errors[5] is None
    assert errors[1] == "No such file or directory"
    assert errors[3] == "not an image"
    assert "truncated" in errors[4]
    for row in rows:
        assert set(row["probabilities"]) == (set() if row["error"] else set(CLASSES))
        if not row["error"]:
            assert sum(row["probabilities"].values()) == pytest.approx(1)
            assert row["label"] == max(row["probabilities"], key=row["probabilities"].get)
    assert rows[0]["probabilities"] == pytest.approx(rows[5]["probabilities"])


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_every_format_goes_to_standard_output_and_the_notice_to_the_log(
    checkpoint, files, capsys, caplog, form
):
    caplog.set_level("INFO")
    with pytest.raises(SystemExit) as stop:
        _main(*files, "--checkpoint", checkpoint, "--format", form)
    assert stop.value.code == 1  # some failed
    assert "not a medical device" in caplog.text
    out = capsys.readouterr().out
    if form == "json":
        assert [row["file"] for row in json.loads(out)] == [str(file) for file in files]
    elif form == "csv":
        rows = list(csv.reader(io.StringIO(out)))
        assert rows[0] == ["file", "label", *CLASSES, "error"]
        assert [row[0] for row in rows[1:]] == [str(file) for file in files]
        assert rows[4][1:] == ["", "", "", "", "not an image"]
    else:
        assert len(out.splitlines()) == len(files)
        assert out.splitlines()[1].endswith("missing.png: error: No such file or directory")


def _main(*words):
    from tests.conftest import run_script

    run_script(minimal_prediction, *words)


def test_status_is_0_when_every_file_was_read(checkpoint, files):
    with pytest.raises(SystemExit) as stop:
        _main(files[0], "--checkpoint", checkpoint)
    assert stop.value.code == 0


def test_a_folder_is_every_image_below_it_and_an_empty_one_is_a_row_with_an_error(
    checkpoint, sources, tmp_path, capsys
):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit):
        _main(sources[1], tmp_path / "empty", "--checkpoint", checkpoint, "--format", "json")
    rows = json.loads(capsys.readouterr().out)
    wanted = sorted(str(path) for path in sources[1].rglob("*.dcm"))
    assert [row["file"] for row in rows] == [*wanted, str(tmp_path / "empty")]
    assert rows[-1]["error"]


@pytest.mark.parametrize("kind", ["png", "jpg", "dcm"])
def test_a_raw_file_gives_the_tensor_of_its_image_in_the_dataset(dataset, sources, kind):
    """Parity: what the network is shown does not depend on which script shows it."""
    form = InputFormat.of(FORM)
    folders = dict(zip(("covid-chestxray", "rsna"), sources, strict=True))
    seen = 0
    for split in ("train", "val", "test"):
        images = RadiographDataset(dataset, split, {n: k for k, n in enumerate(CLASSES)}, form)
        for k, row in enumerate(images.table.to_dict("records")):
            if row["original"].endswith(kind):
                raw = form.read(folders[row["source"]] / row["original"])
                assert torch.equal(torch.from_numpy(raw), images[k][0]), row["original"]
                seen += 1
    assert seen > 3


def test_the_temperature_of_the_checkpoint_softens_the_probabilities(checkpoint, files):
    content = torch.load(checkpoint)
    sharp = next(iter(predict(load(checkpoint), files[:1])))["probabilities"]
    save_checkpoint(checkpoint, {**content, "temperature": 10.0})
    soft = next(iter(predict(load(checkpoint), files[:1])))["probabilities"]
    spread = [max(p.values()) - min(p.values()) for p in (sharp, soft)]
    assert spread[1] < spread[0]


def test_the_originals_network_is_shown_colour(tmp_path, monkeypatch):
    """Its preprocessing of 2020: RGB, 256 x 256 bilinear, 0 to 1, no normalisation."""
    path = tmp_path / "original.pth"
    torch.save({"state_dict": TinyNext(3).state_dict()}, path, _use_new_zipfile_serialization=False)
    Image.new("RGB", (300, 200), (255, 51, 0)).save(tmp_path / "red.png")
    shown = []
    network = load(path)
    hook = network.network.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    list(predict(network, [tmp_path / "red.png"]))
    hook.remove()
    assert shown[0].shape == (1, 3, 256, 256)
    wanted = torch.tensor([1.0, 0.2, 0.0]).view(1, 3, 1, 1).expand(1, 3, 256, 256)
    torch.testing.assert_close(shown[0], wanted, atol=1e-6, rtol=0)


def test_a_checkpoint_that_is_none_is_one_line(tmp_path):
    (tmp_path / "x.pth").write_text("hello")
    with pytest.raises(ValueError, match=r"x.pth: not a checkpoint"):
        load(tmp_path / "x.pth")
    with pytest.raises(FileNotFoundError, match=r"no such file; expected a checkpoint"):
        load(tmp_path / "y.pth")

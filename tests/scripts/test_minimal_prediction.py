"""minimal_prediction.py: one row per file, in order; the same tensor as everywhere."""

import csv
import hashlib
import io
import json
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import minimal_prediction
import model.weights
from data.inputs import read_input
from data.transforms import InputFormat
from minimal_prediction import load, predict
from model.fuse_batchnorm import fuse_for_inference
from model.gate import Gate
from model.inference import examine
from tests.conftest import run_script
from tests.helpers.networks import CLASSES, TinyNext, input_form, save_network
from util.checkpoint import save_checkpoint
from util.model_file import short_hash

FORM = input_form((32, 32))


def _main(*words):
    """The status with which the script ends."""
    with pytest.raises(SystemExit) as stop:
        run_script(minimal_prediction, *words)
    return stop.value.code


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    return save_network(tmp_path / "best.pth", TinyNext(3), FORM)


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
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert {row["checkpoint"] for row in rows} == {f"best.pth@{digest[:8]}"}
    errors = [row["error"] for row in rows]
    assert errors[0] is errors[2] is errors[5] is None
    assert errors[1] == "No such file or directory"
    assert errors[3] == "not an image: a text file"
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
    assert _main(*files, "--checkpoint", checkpoint, "--format", form) == 1  # some failed
    assert "not a medical device" in caplog.text
    out = capsys.readouterr().out
    if form == "json":
        assert [row["file"] for row in json.loads(out)] == [str(file) for file in files]
    elif form == "csv":
        rows = list(csv.reader(io.StringIO(out)))
        name = f"best.pth@{short_hash(checkpoint)}"
        assert rows[0] == ["file", "label", *CLASSES, "doubtful", "checkpoint", "error"]
        assert [row[0] for row in rows[1:]] == [str(file) for file in files]
        assert rows[4][1:] == ["", "", "", "", "", name, "not an image: a text file"]
    else:
        assert len(out.splitlines()) == len(files)
        assert out.splitlines()[1].endswith("missing.png: error: No such file or directory")


def test_status_is_0_when_every_file_was_read(checkpoint, files):
    assert _main(files[0], "--checkpoint", checkpoint) == 0


def test_a_folder_is_every_image_below_it_and_an_empty_one_is_a_row_with_an_error(
    checkpoint, sources, tmp_path, capsys
):
    (tmp_path / "empty").mkdir()
    _main(sources[1], tmp_path / "empty", "--checkpoint", checkpoint, "--format", "json")
    rows = json.loads(capsys.readouterr().out)
    wanted = sorted(str(path) for path in sources[1].rglob("*.dcm"))
    assert [row["file"] for row in rows] == [*wanted, str(tmp_path / "empty")]
    assert rows[-1]["error"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_checkpoint_that_asks_for_test_time_augmentation_gets_it(
    checkpoint, files, monkeypatch, dtype
):
    """On both kinds of processors: where bfloat16 is native the convolutions run in it."""
    bfloat16 = dtype == torch.bfloat16
    monkeypatch.setattr("util.device._native_bfloat16", lambda device: bfloat16)
    rows = {}
    for augmented in (False, True):
        save_with(checkpoint, test_time_augmentation=augmented)
        row = next(predict(load(checkpoint, "cpu"), files[:1]))
        rows[augmented] = list(row["probabilities"].values())
    network, form = TinyNext(3), InputFormat.of(FORM)
    network.load_state_dict(torch.load(checkpoint, weights_only=True)["state_dict"])
    network = fuse_for_inference(network, torch.device("cpu"), dtype)
    pixels = torch.tensor(form.read(files[0]))[None]
    seen = examine(network, [pixels], torch.device("cpu"), form.normalise, augmented=True)
    np.testing.assert_allclose(rows[True], seen.logits.softmax(1)[0], atol=1e-6)
    assert np.abs(np.subtract(*rows.values())).max() > 1e-4


def test_the_originals_network_is_shown_colour(tmp_path, monkeypatch):
    """Its preprocessing of 2020: RGB, 256 x 256 bilinear, 0 to 1, no normalisation."""
    path = tmp_path / "original.pth"
    torch.save({"state_dict": TinyNext(3).state_dict()}, path, _use_new_zipfile_serialization=False)
    Image.new("RGB", (300, 200), (255, 51, 0)).save(tmp_path / "red.png")
    shown = []
    network = load(path)
    hook = network.runtime.network.block0.register_forward_pre_hook(
        lambda _, inputs: shown.append(inputs[0].float()), prepend=True
    )
    list(predict(network, [tmp_path / "red.png"]))
    hook.remove()
    assert shown[0].shape == (1, 3, 256, 256)
    wanted = torch.tensor([1.0, 0.2, 0.0]).view(1, 3, 1, 1).expand(1, 3, 256, 256)
    torch.testing.assert_close(shown[0], wanted, atol=1e-6, rtol=0)


def save_with(checkpoint, **fields):
    save_checkpoint(checkpoint, {**torch.load(checkpoint, weights_only=True), **fields})


PREVALENCE = {"normal": 0.9, "pneumonia": 0.09, "COVID-19": 0.01}


@pytest.mark.parametrize(
    ("prior", "stated", "message"),
    [
        (None, PREVALENCE, r"best.pth: no prior in it to start from; leave --prevalence out"),
        ([0.2, 0.3, 0.5], {"normal": 0.9, "pneumonia": 0.1}, "--prevalence: found normal, pneum"),
        ([0.2, 0.3, 0.5], {**PREVALENCE, "normal": 0.5}, "--prevalence: adds up to 0.6; expected"),
    ],
)
def test_a_prevalence_that_does_not_fit_is_one_line_before_the_first_row(
    checkpoint, files, prior, stated, message
):
    save_with(checkpoint, prior=prior)
    with pytest.raises(ValueError, match=message) as error:
        predict(load(checkpoint), files, prevalence=stated)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        (["normal=much"], "expected"),
        (["normal=1.5", "pneumonia=-0.5"], "--prevalence: found normal=1.5; expected 0 to 1"),
        (["normal=nan", "pneumonia=1"], "--prevalence: found normal=nan; expected 0 to 1"),
        (["normal=0.9", "pneumonia=0.3"], "--prevalence: adds up to 1.2; expected 1"),
    ],
)
def test_shares_that_are_no_prevalence_are_a_wrong_argument(capsys, shares, said):
    assert _main("a.png", "--prevalence", *shares) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.fixture
def films(dataset):
    return sorted((dataset / "train").glob("*.png"))[:40]


@pytest.fixture
def calibrated(checkpoint, films):
    """The checkpoint with what it says of the films, of as many patients, as its validation; of
    them COVID-19 has four."""
    predictor = load(checkpoint, "cpu")
    pixels = torch.from_numpy(np.stack([predictor.form.read(film) for film in films]))
    logits = torch.from_numpy(predictor.examine([pixels]).logits)
    targets = [0, 1] * 18 + [2] * 4
    save_with(
        checkpoint, validation={"logits": logits, "targets": targets, "patients": [*range(40)]}
    )
    return checkpoint


def test_a_coverage_adds_the_set_and_changes_nothing_else(calibrated, films, files):
    predictor = load(calibrated, "cpu")
    films = [*films, files[1]]
    plain, rows = (list(predict(predictor, films, coverage=c)) for c in (None, 0.8))
    sets = predictor.prediction_sets(0.8)
    for before, row in zip(plain, rows, strict=True):
        assert list(row)[3:5] == ["set", "set_note"]
        names, note = row.pop("set"), row.pop("set_note")
        assert (row, list(row)) == (before, list(before))
        inside = sets.of(np.array(list(row["probabilities"].values()) or [0, 0, 0]))
        wanted = [name for name, known in zip(CLASSES, inside, strict=True) if known]
        assert names == (None if row["error"] else wanted)
        assert note is None or row["error"] is None
    assert rows[-1]["error"]


def test_a_prevalence_moves_no_set(calibrated, films):
    save_with(calibrated, prior=[0.2, 0.3, 0.5])
    sets = [
        [row["set"] for row in predict(load(calibrated), films, prevalence=stated, coverage=0.8)]
        for stated in (None, PREVALENCE)
    ]
    assert sets[0] == sets[1]
    assert len(set(map(str, sets[0]))) > 2


def test_abstain_keeps_the_label_where_the_set_is_this_class_and_no_other(
    calibrated, films, files, tmp_path, capsys
):
    """The row of a file that cannot be read still has none. A picture says the same."""
    words = (*films, files[1], "--checkpoint", calibrated, "--coverage", 0.5)
    words += ("--explain", tmp_path / "pictures")
    tables = []
    for more in ((), ("--abstain",)):
        _main(*words, "--format", "csv", *more)
        tables.append(pd.read_csv(io.StringIO(capsys.readouterr().out), keep_default_na=False))
    plain, decided = tables
    sure = plain["set"] == plain["label"]
    assert 0 < sure.sum() < len(plain) - 1
    wanted = plain["label"].where(sure, "undecided")
    wanted.iloc[-1] = ""
    for label, picture in zip(wanted[:-1], decided["explanation"], strict=False):
        with Image.open(picture) as image:
            assert image.text["Description"].startswith(label)
    assert list(decided.pop("label")) == list(wanted)
    pd.testing.assert_frame_equal(decided, plain.drop(columns="label"))
    with pytest.raises(ValueError, match="abstain: found no coverage"):
        predict(load(calibrated), films, abstain=True)
    inside = plain["set"].str.get_dummies()  # a column for each class, as pandas splits it
    assert set(inside) == set(CLASSES)


@pytest.mark.parametrize("lost", [None, {"logits": torch.eye(3), "targets": [0, 1, 2]}])
def test_a_checkpoint_that_cannot_be_calibrated_is_one_line_before_the_first_row(
    checkpoint, files, lost
):
    save_with(checkpoint, validation=lost)
    with pytest.raises(
        ValueError, match=r"best\.pth: found no validation films .* --resume"
    ) as error:
        predict(load(checkpoint), files, coverage=0.9)
    assert "\n" not in str(error.value)
    assert next(predict(load(checkpoint), files))["label"] in CLASSES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--abstain",), "--abstain: found no --coverage, which says what is decided; give both"),
        (("--coverage", 90), "--coverage: found 90.0; expected 0.01 to 0.999"),
    ],
)
def test_a_coverage_that_makes_no_sense_is_a_wrong_argument(capsys, words, message):
    assert _main("a.png", *words) == 2
    assert capsys.readouterr().err == f"minimal_prediction.py: {message}\n"


def test_what_the_gate_of_the_checkpoint_doubts_is_in_the_row_and_keeps_its_label(
    checkpoint, dataset, tmp_path
):
    form = InputFormat.of(FORM)
    training = sorted((dataset / "train").glob("*.png"))
    gate = Gate.fit(np.stack([form.read(file) for file in training]))
    save_with(checkpoint, gate=gate.state())
    with Image.open(training[0]) as image:
        image.rotate(180).save(tmp_path / "turned.png")
    Image.new("L", (80, 80), 120).save(tmp_path / "blank.png")
    files = [*training[:20], tmp_path / "turned.png", tmp_path / "blank.png"]
    *usual, turned, blank = predict(load(checkpoint), files)
    assert sum(row["doubtful"] is not None for row in usual) <= 2
    assert turned["doubtful"]
    assert blank["doubtful"].startswith("blank")
    assert {turned["label"], blank["label"]} <= set(CLASSES)


def test_that_a_checkpoint_has_no_gate_is_one_line_and_with_one_there_is_none(
    checkpoint, files, caplog
):
    _main(files[0], "--checkpoint", checkpoint)
    (line,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert line.message == (
        f"best.pth@{short_hash(checkpoint)}: no gate in it; only blank images, colour photographs"
        " and DICOM files that say they are side views are doubted"
    )
    caplog.clear()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 1, 32, 32), np.uint8)
    save_with(checkpoint, gate=Gate.fit(pixels).state())
    _main(files[0], "--checkpoint", checkpoint)
    assert "gate" not in caplog.text


def test_a_picture_says_of_which_class_its_map_is_when_a_prevalence_names_another(
    checkpoint, files, tmp_path
):
    save_with(checkpoint, prior=[1 / 3] * 3)
    network = load(checkpoint)
    (before,) = predict(network, files[0])
    other = next(name for name in PREVALENCE if name != before["label"])
    rest = dict.fromkeys(PREVALENCE, 0.0005)
    (row,) = predict(network, files[0], explain=tmp_path / "maps", prevalence=rest | {other: 0.999})
    assert row["label"] == other
    said = Image.open(row["explanation"]).text["Description"]
    assert f"what spoke for {before['label']}," in said


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_a_picture_is_written_for_each_file_that_can_be_read(
    checkpoint, files, tmp_path, capsys, form
):
    out = tmp_path / "maps"
    _main(*files, "--checkpoint", checkpoint, "--explain", out, "--format", form)
    name, scan = files[0].name, files[2].name
    wanted = {f"{name}.png", f"{scan}.png", f"{name}-2.png"}
    assert {path.name for path in out.iterdir()} == wanted
    if form == "json":
        rows = json.loads(capsys.readouterr().out)
        found = [row["explanation"] for row in rows]
        assert found == [
            str(out / f"{name}.png"), None, str(out / f"{scan}.png"), None, None,
            str(out / f"{name}-2.png"),
        ]  # fmt: skip
        assert rows[0]["label"] in Image.open(found[0]).text["Description"]


def test_a_folder_for_pictures_that_cannot_be_made_is_said_before_the_work(checkpoint, files):
    with pytest.raises(OSError, match=r"note.png"):
        predict(load(checkpoint), files, explain=files[3])


def test_the_script_says_so_before_the_work_and_makes_nothing(files, tmp_path):
    words = (files[0], "--checkpoint", "missing.pth", "--explain")
    with pytest.raises(NotADirectoryError, match=r"note.png: found a file; expected a folder$"):
        run_script(minimal_prediction, *words, files[3])
    with pytest.raises(FileNotFoundError, match=r"missing.pth"):
        run_script(minimal_prediction, *words, tmp_path / "maps")
    assert not (tmp_path / "maps").exists()


def test_folders_and_patterns_are_searched_without_the_script(checkpoint, files, tmp_path):
    good = files[0].read_bytes()
    names = [tmp_path / "scans" / name for name in ("a/1.png", "a/deep/2.png", "b/3.png")]
    for name in names:
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(good)
    given = [tmp_path / "scans", f"{tmp_path}/scans/?/*.png", f"{tmp_path}/*.tiff"]
    rows = list(predict(load(checkpoint), given, batch_size=2))
    found = [*names, names[0], names[2], f"{tmp_path}/*.tiff"]
    assert [row["file"] for row in rows] == [str(name) for name in found]
    assert [row["error"] for row in rows] == [*[None] * 5, "no file fits the pattern"]


@pytest.mark.parametrize("kind", [str, Path])
def test_one_name_is_one_input(checkpoint, files, kind):
    (row,) = predict(load(checkpoint), kind(files[0]))
    assert (row["file"], row["error"]) == (str(files[0]), None)


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_no_image_is_an_error_at_the_call(checkpoint, files, size):
    with pytest.raises(ValueError, match=rf"^batch_size: found {size}; expected 1 or more$"):
        predict(load(checkpoint), files, batch_size=size)


def test_a_file_that_looks_like_a_pattern_is_that_file_and_no_name_is_no_folder(
    checkpoint, files, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("[a].png", "a.png"):
        Path(name).write_bytes(files[0].read_bytes())
    _main("[a].png", "", "--checkpoint", checkpoint, "--format", "json")
    rows = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in rows] == ["[a].png", ""]
    assert [row["error"] for row in rows] == [None, "an empty name; expected a file"]


def test_the_images_of_no_more_than_three_batches_are_held(checkpoint, files, monkeypatch):
    read, most = [], 0

    def read_and_watch(*args):
        found = read_input(*args)
        read.append(weakref.ref(found.pixels))
        return found

    monkeypatch.setattr("data.inputs.read_input", read_and_watch)
    for _ in predict(load(checkpoint), files[:1] * 100, batch_size=4):
        most = max(most, sum(pixels() is not None for pixels in read))
    assert len(read) == 100
    assert most <= 12


def test_nothing_is_read_before_it_is_asked_for_and_rows_come_batch_by_batch(checkpoint, files):
    asked = []

    def endless():
        while True:
            asked.append(None)
            yield files[0]

    rows = predict(load(checkpoint), endless(), batch_size=4)
    assert not asked
    assert [next(rows)["error"] for _ in range(9)] == [None] * 9
    assert len(asked) == 16


def test_a_network_that_gives_no_numbers_is_the_fault_of_the_checkpoint(checkpoint, files):
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    weights["logits.module.bias"][0] = float("nan")
    save_with(checkpoint, state_dict=weights)
    with pytest.raises(ValueError, match=r"best.pth@\w{8}: its output is not a number"):
        list(predict(load(checkpoint), files[:1]))


def test_the_script_imports_no_heavy_library_before_it_knows_its_checkpoint():
    """Each would cost a part of a second until the first prediction; torchvision costs two."""
    code = (
        "import sys, minimal_prediction\n"
        "heavy = {'torch', 'torchvision', 'onnxruntime', 'scipy', 'pandas', 'sklearn',"
        " 'matplotlib', 'cv2', 'pydicom', 'sympy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(minimal_prediction.__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")

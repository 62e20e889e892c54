"""export.py: one ONNX file that predicts what its checkpoint predicts, or none."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image

import evaluate
import export
import model.weights
from data.dataset_folder import read_split
from data.inputs import read_ahead
from data.split.folds import images_by_fold
from data.transforms import InputFormat
from minimal_prediction import load, predict
from model import torch_runtime
from model.onnx import precision
from model.onnx.runtime import AT_ONCE
from model.prediction import Reader, look_at
from model.predictor import Predictor
from model.starting_network import start_network
from tests.conftest import run_script
from tests.helpers.exported import FORM, KINDS, PRIOR
from tests.helpers.networks import CLASSES, MAPPING, TinyNext, use_network
from tests.helpers.paths import ROOT
from util.model_file import short_hash

PREVALENCE = {"normal": 0.9, "pneumonia": 0.09, "COVID-19": 0.01}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", TinyNext)


@pytest.fixture(params=KINDS)
def pair(request, exports):
    """The predictor of a checkpoint, that of its ONNX file, and by how much they may differ."""
    path = exports / request.param / "best.pth"
    exact = Predictor.of(path, *torch_runtime.load(path, "cpu", torch.float32))
    return exact, load(path.with_suffix(".onnx")), KINDS[request.param][1]


@pytest.fixture
def files(dataset, sources, tmp_path):
    """Radiographs, some of them turned or inverted, a DICOM file, and what cannot be read."""
    good = sorted((dataset / "test").glob("*.png"))
    changed = []
    for k, change in enumerate((lambda film: film.rotate(180), lambda film: film.rotate(90))):
        changed.append(tmp_path / f"changed{k}.png")
        with Image.open(good[k]) as film:
            change(film).save(changed[-1])
    (tmp_path / "note.png").write_text("not an image")
    Image.new("L", (80, 80), 120).save(tmp_path / "blank.png")
    table = pd.read_csv(dataset / "test_metadata.csv")
    scan = sources[1] / table.loc[table["source"] == "rsna", "original"].iloc[0]
    others = [tmp_path / "note.png", scan, tmp_path / "missing.png", tmp_path / "blank.png"]
    return [*good, *changed, *others, *good]


def test_the_folds_of_a_run_become_one_file_of_the_same_rows(exports, files, tmp_path, monkeypatch):
    run, best = tmp_path / "r", torch.load(exports / "int8/best.pth", weights_only=True)
    for k in (1, 2):
        changes = {"temperature": 0.5 * k, "config": best["config"] | {"fold": f"{k}/2"}}
        (run / f"fold-{k}").mkdir(parents=True)
        head = best["state_dict"]["logits.module.weight"].roll(k, 0)
        # torch's exporter stores small tensors that are equal once, which to_int4 does not expect
        own = {n: (1 + k / 100) * w if w.ndim == 4 else w for n, w in best["state_dict"].items()}
        state = own | {"logits.module.weight": head}
        torch.save(best | changes | {"state_dict": state}, run / f"fold-{k}/best.pth")
    both = load(run)
    rows = list(predict(both, files[:12], 24))
    for kind, name, tolerance in (
        ("float32", "folds.onnx", 1e-5),
        ("int8", "folds-int8.onnx", 0.03),
        ("int4", "folds-int4.onnx", 0.1),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(export.LARGEST, kind, tolerance)
            run_script(export, run, "--precision", kind)
        exported = load(run / name)
        for one, other in zip(rows, predict(exported, files[:12], 24), strict=True):
            assert other["probabilities"] == pytest.approx(one["probabilities"], abs=tolerance)
            assert (other["doubtful"] is None) == (one["doubtful"] is None)
        assert exported.checkpoint["export"]["checkpoint"] == both.name


def test_its_prediction_sets_are_those_of_the_checkpoint(pair, files):
    """But where a probability lies as close to the threshold as the two may differ."""
    exact, exported, tolerance = pair
    thresholds = exact.prediction_sets(0.5).thresholds
    np.testing.assert_allclose(exported.prediction_sets(0.5).thresholds, thresholds, rtol=1e-6)
    sets = set()
    rows = [predict(each, files, 24, coverage=0.5) for each in (exact, exported)]
    for one, other in zip(*rows, strict=True):
        chances = np.array([*one["probabilities"].values()] or [0, 0, 0])
        if np.abs(chances - thresholds).min() > tolerance:
            assert (other["set"], other["set_note"]) == (one["set"], one["set_note"])
            sets.add(str(one["set"]))
    assert len(sets) > 2


@pytest.mark.parametrize("prevalence", [None, PREVALENCE])
def test_its_rows_are_those_of_the_checkpoint(pair, files, prevalence):
    exact, exported, tolerance = pair
    assert len(files) > AT_ONCE
    rows = [list(predict(each, files, 24, prevalence)) for each in (exact, exported)]
    doubted = [row["doubtful"] for row in rows[0]]
    assert "it seems upside down" in doubted
    assert any(row["error"] for row in rows[0])
    largest = 4 * tolerance if prevalence else tolerance  # what the move makes of it
    for one, other in zip(*rows, strict=True):
        assert other["checkpoint"] == f"best.onnx@{short_hash(exported.path)}"
        assert other["probabilities"] == pytest.approx(one["probabilities"], abs=largest)
        same = ("file", "doubtful", "error")
        assert [other[name] for name in same] == [one[name] for name in same]
        second, first = sorted([*one["probabilities"].values()] or [0, 1])[-2:]
        if first - second > 2 * largest:
            assert other["label"] == one["label"]
    if tolerance > 1e-4:  # 8 and 4 bits are seen
        one, other = (each[0]["probabilities"] for each in rows)
        assert other != pytest.approx(one, abs=1e-5)


def test_its_heat_maps_are_those_of_the_checkpoint(pair, files):
    exact, exported, tolerance = pair
    (batch,) = read_ahead(files[:8], exact.form, 8, films=True)
    looks = [list(look_at(each, batch, Reader(each))) for each in (exact, exported)]
    for one, other in zip(*looks, strict=True):
        assert (other.part, other.film.shape) == (one.part, one.film.shape)
        np.testing.assert_allclose(other.heat, one.heat, atol=10 * tolerance * one.heat.max())


def test_other_programs_get_the_probabilities_from_the_graph(pair, files):
    _, exported, _ = pair
    session = exported.runtime.session
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape[1:]) == ("pixels", "tensor(uint8)", [1, 64, 48])
    pixels = np.stack([exported.form.read(file) for file in files[:5]])
    chances, logits = session.run(["probabilities", "logits"], {"pixels": pixels})
    np.testing.assert_allclose(chances, exported.probabilities(logits), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_other_programs_find_it_valid(exports, kind, capfd):
    path = exports / kind / "best.onnx"
    onnx.checker.check_model(onnx.load(path), full_check=True)
    onnxruntime.InferenceSession(path)  # with the warnings that Predictor switches off
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_no_folder_is_in_it_but_those_of_the_settings(exports, kind, dataset):
    path = exports / kind / "best.onnx"
    assert str(ROOT).encode() not in path.read_bytes()
    about = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert json.loads(about.pop("config"))["dataset"] == str(dataset)
    assert str(dataset) not in str(about)


def test_its_metadata_say_what_prediction_needs_and_how_it_was_made(exports):
    path = exports / "float32/best.pth"
    properties = onnx.load(path.with_suffix(".onnx")).metadata_props
    about = {each.key: json.loads(each.value) for each in properties}
    exact = torch_runtime.load(path, "cpu")[1]
    for name, known in exact.limits._asdict().items():
        assert about["gate"][name] == {"limit": known.limit, "share": known.share}
    assert (about["classes"], about["mapping"], about["prior"]) == (CLASSES, MAPPING, PRIOR)
    assert InputFormat.of(about["input"]) == InputFormat.of(FORM)
    assert (about["temperature"], about["test_time_augmentation"]) == (1.5, True)
    assert about["licence"].startswith("MIT")
    assert "not a medical device" in about["notice"]
    how = about["export"]
    assert (how["checkpoint"], how["precision"]) == (f"best.pth@{short_hash(path)}", "float32")
    assert how["compared_on"].startswith("validation images of ")
    assert 0 <= how["largest_difference"] < 1e-5
    assert (how["films"], how["changed_labels"], how["changed_doubts"]) == (11, 0, 0)
    assert how["versions"]["torch"] == torch.__version__.split("+")[0]


WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "pandas", "sklearn", "scipy", "matplotlib", "onnx"):
    sys.modules[name] = None  # an import fails
from minimal_prediction import arguments, load, main, predict
checkpoint, *files = sys.argv[1:5]
(row,) = predict(load(checkpoint), [files[0]])
assert row["error"] is None
main(arguments())
"""


def test_prediction_with_it_imports_none_of_the_heavy_packages(exports, files, tmp_path):
    path = exports / "int8/best.onnx"
    named = [str(files[0]), str(next(file for file in files if file.suffix == ".dcm"))]
    flags = ["--checkpoint", str(path), "--format", "json", "--explain", str(tmp_path / "maps")]
    flags += ["--coverage", "0.5", "--abstain"]
    code = WITHOUT_TORCH.replace("sys.argv[1:5]", repr([str(path), *named]))
    command = [sys.executable, "-c", code, *named, *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["file"], row["error"]) for row in rows] == [(name, None) for name in named]
    assert all(isinstance(row["set"], list) for row in rows)
    assert len(list((tmp_path / "maps").iterdir())) == 2


@pytest.mark.parametrize(
    ("kind", "step", "tolerance"),  # step: of the largest weight of a channel
    [("float32", 1e-6, 1e-5), ("int8", 1 / 126, 0.1), ("int4", 0.25, 0.5)],
)
def test_a_training_starts_from_the_network_of_the_checkpoint(
    exports, files, monkeypatch, kind, step, tolerance
):
    use_network(monkeypatch)
    path, form = exports / kind / "best.pth", InputFormat.of(FORM)
    start = (MAPPING, None, form.size, form.prepared)
    saved, _, trainings, _ = start_network(MAPPING, str(path), *start[1:])
    onnx_file = str(path.with_suffix(".onnx"))
    found, found_form, same, _ = start_network(MAPPING, onnx_file, *start[1:])
    assert same == trainings
    assert (found_form, found.training) == (form, True)
    state = found.state_dict()
    for name, tensor in saved.state_dict().items():
        if tensor.ndim == 4:
            largest = tensor.abs().amax((1, 2, 3), keepdim=True)
            assert ((state[name] - tensor).abs() <= step * largest).all()
        else:
            assert torch.equal(state[name], tensor), name
    images = form.normalise(torch.from_numpy(np.stack([form.read(f) for f in files[:8]])))
    with torch.no_grad():
        one, other = (network.eval()(images) for network in (saved, found))
    assert (one - other).abs().max() <= tolerance * one.std()


def test_evaluation_gives_the_scores_of_the_checkpoint(exports, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "draw_all", lambda *_: {})
    monkeypatch.setattr(evaluate, "gallery", lambda *_: [])
    metrics = []
    for name in ("best.pth", "best.onnx"):
        words = ("--dataset", dataset, "--n-threads", 0, "--device", "cpu")
        run_script(evaluate, exports / "float32" / name, *words, "--out", tmp_path / name)
        metrics.append(json.loads((tmp_path / name / "metrics.json").read_text()))
    report = (tmp_path / "best.onnx" / "report.md").read_text()
    assert f"from best.pth@{short_hash(exports / 'float32/best.pth')}, in float32" in report
    exact, exported = metrics
    for name in ("accuracy", "macro_f1", "within_source", "operating_points", "verdicts"):
        assert exported[name] == exact[name]
    assert exported["macro_auroc"]["value"] == pytest.approx(exact["macro_auroc"]["value"])


@pytest.fixture
def exported_before(exports, monkeypatch):
    """What takes seconds, and is tested above, takes none."""
    graph = onnx.load(exports / "float32/best.onnx")
    monkeypatch.setattr(precision, "graph_of", lambda *_: graph)
    return exports / "float32/best.pth"


def test_a_file_that_differs_too_much_is_not_left(exported_before, tmp_path, monkeypatch):
    out = tmp_path / "best.onnx"
    out.write_text("an older one")
    monkeypatch.setitem(export.LARGEST, "float32", 1e-12)
    with pytest.raises(ValueError, match=r"best.onnx: not written, .*; expected at most 1e-12. In"):
        run_script(export, exported_before, "--out", out)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an older one"]


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [("float32", "use the checkpoint"), ("int8", "--precision float32"), ("int4", "int8, or the")],
)
def test_a_file_that_differs_too_much_has_a_remedy_of_its_precision(tmp_path, kind, remedy):
    how = {"precision": kind, "largest_difference": float("nan"), "films": 9, "compared_on": "x"}
    with pytest.raises(ValueError, match=f"a.onnx: not written, .*Instead, .*{remedy}"):
        export.check(how, tmp_path / "a.onnx")


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("settings", [{"leave_out": ["rsna"]}, {"fold": "1/2"}])
def test_it_is_made_and_compared_without_the_films_that_its_training_did_not_see(
    exported_before, dataset, monkeypatch, settings, other
):
    """But of another dataset than that of the training it takes whole splits."""
    tables, read_some = [], export.read_some

    def reading(*where):
        pixels, table = read_some(*where)
        tables.append(table)
        return pixels, table

    monkeypatch.setattr(export, "read_some", reading)
    content = torch.load(exported_before, weights_only=True)
    checkpoint = content | {"config": content["config"] | settings}
    if other:
        checkpoint["fingerprint"] = "other"
    films = export.Films.of(checkpoint, InputFormat.of(FORM), str(dataset))
    seen = {}
    for split in ("train", "val"):
        films.read(split, 10**6)
        seen[split] = set(tables[-1]["filename"])
    if "fold" in settings:
        table = images_by_fold(dataset, 2)
        hidden = table["fold"] == 1
    else:
        table = pd.concat({split: read_split(dataset, split) for split in seen})
        hidden = table["source"] == "rsna"
    assert hidden.any()
    if other:
        assert seen == {split: set(table.loc[split]["filename"]) for split in seen}
    else:
        assert seen["train"] | seen["val"] == set(table["filename"][~hidden])
        assert not seen["train"] & seen["val"]


def test_a_network_that_no_onnx_file_holds_is_one_line(exports, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "MOST_PARAMETERS", 10)
    with pytest.raises(ValueError, match=r"parameters; expected at most 10, as an ONNX file hold"):
        run_script(export, exports / "float32/best.pth", "--out", tmp_path / "a.onnx")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_finite_are_one_line(exports, tmp_path, kind):
    content = torch.load(exports / "float32/best.pth", weights_only=True)
    content["state_dict"]["backbone_end.module.0.weight"][0, 0] = float("nan")
    torch.save(content, tmp_path / "best.pth")
    with pytest.raises(ValueError, match=r"best\.pth: found weights that are not finite; expected"):
        run_script(export, tmp_path / "best.pth", "--precision", kind)


def test_without_its_dataset_it_is_compared_on_drawn_radiographs(
    exported_before, tmp_path, monkeypatch, caplog
):
    content = torch.load(exported_before, weights_only=True)
    torch.save(content | {"config": {"dataset": "moved"}}, tmp_path / "best.pth")
    monkeypatch.setattr(export, "FILMS", 6)
    run_script(export, tmp_path / "best.pth")
    assert "drawn radiographs take its place" in caplog.text
    how = load(tmp_path / "best.onnx").checkpoint["export"]
    assert (how["films"], how["compared_on"]) == (6, "drawn")


def test_the_originals_network_of_2020_is_exported(tmp_path, monkeypatch, dataset):
    """Colour, no gate, no prior, no dataset."""
    torch.manual_seed(0)
    torch.save({"state_dict": TinyNext(3).state_dict()}, tmp_path / "original.pth")
    monkeypatch.setattr(export, "FILMS", 2)
    run_script(export, tmp_path / "original.pth")
    exported = load(tmp_path / "original.onnx")
    assert not exported.gate.learned
    Image.effect_noise((300, 200), 90).convert("RGB").save(tmp_path / "noise.png")
    Image.new("RGB", (300, 200), (255, 51, 0)).save(tmp_path / "blank.png")
    files = [tmp_path / "noise.png", tmp_path / "blank.png"]
    noise, blank = predict(exported, files)
    (wanted, _) = predict(load(tmp_path / "original.pth", "cpu"), files)
    assert noise["probabilities"] == pytest.approx(wanted["probabilities"], abs=0.02)
    assert (noise["doubtful"], blank["doubtful"][:5]) == (None, "blank")
    with pytest.raises(ValueError, match=r"original\.onnx: no prior in it"):
        exported.scorer(PREVALENCE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a.pth", "--out", "a.bin"), "--out: found 'a.bin'; expected a name that ends in .onnx"),
        (("a.pth", "--precision", "int2"), "--precision: invalid choice: 'int2'"),
    ],
)
def test_a_wrong_argument_is_one_line(capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        run_script(export, *words)
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1

"""Which file a path stands for, and that a network is the one of its card."""

import hashlib

import pytest

from util import model_file as module
from util.files import write_json
from util.model_file import card_of, model_file, short_hash


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """A folder with a network and its card, in the place of the project's."""
    folder = tmp_path / "project" / "pretrained"
    folder.mkdir(parents=True)
    (folder / "next.onnx").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    write_json(folder / "card.json", {"file": "next.onnx", "sha256": digest})
    monkeypatch.setattr(module, "PRETRAINED", folder)
    return folder


def test_its_name_stands_for_the_projects_network_wherever_one_works(
    pretrained, tmp_path, monkeypatch
):
    (tmp_path / "pretrained").mkdir()
    monkeypatch.chdir(tmp_path)
    found = pretrained / "next.onnx"
    assert model_file("pretrained") == model_file(pretrained) == model_file(found) == found
    assert card_of(found)["file"] == "next.onnx"


@pytest.mark.parametrize("name", ["pretrained", "pretrained/next.onnx"])
def test_a_network_that_is_not_the_one_of_its_card_is_refused_in_one_line(
    pretrained, monkeypatch, name
):
    monkeypatch.chdir(pretrained.parent)
    assert model_file(name)
    (pretrained / "next.onnx").write_bytes(b"Weights")
    found = hashlib.sha256(b"Weights").hexdigest()[:8]
    with pytest.raises(ValueError, match=f"next.onnx: found SHA-256 {found}.*; expected") as error:
        model_file(name)
    assert "git checkout -- pretrained" in str(error.value)
    assert "\n" not in str(error.value)


def test_without_a_network_its_name_says_how_to_get_one(pretrained):
    (pretrained / "card.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"^pretrained: no network in it yet; train one "):
        model_file("pretrained")


def test_a_run_stands_for_its_best_checkpoint_and_another_file_beside_a_card_for_itself(
    pretrained, tmp_path
):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(FileNotFoundError, match=r"best\.pth: no such file; expected best.pth of a"):
        model_file(run)
    for path in (run / "best.pth", pretrained / "other.pth"):
        path.write_bytes(b"mine")
        assert model_file(path) == path
        assert card_of(path) == {}
    assert model_file(run) == run / "best.pth"


@pytest.mark.parametrize("text", ["[]", '{"file": "next.onnx"}', '{"name": "of another program"}'])
def test_a_card_of_another_program_is_none(pretrained, text):
    (pretrained / "card.json").write_text(text)
    (pretrained / "next.onnx").write_bytes(b"changed")
    assert model_file(pretrained / "next.onnx")


def test_a_card_that_is_cut_off_is_one_line(pretrained):
    (pretrained / "card.json").write_text('{"file": "ne')
    with pytest.raises(ValueError, match=r"card\.json: not JSON; expected what release\.py wrote"):
        model_file("pretrained")


def test_a_file_that_was_written_again_has_another_hash(tmp_path):
    for content in (b"one", b"three"):
        (tmp_path / "a").write_bytes(content)
        assert short_hash(tmp_path / "a") == hashlib.sha256(content).hexdigest()[:8]

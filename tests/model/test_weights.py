"""Weights from files, names and checkpoints: what loads, and what the error says."""

from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNeXt50_32X4D_Weights, resnext50_32x4d

import model.weights
from model.weights import load_network, load_strictly, trunk_state
from tests.helpers.networks import NarrowNext


@pytest.fixture(scope="module")
def trunk():
    return resnext50_32x4d(weights=None).state_dict()


@pytest.mark.parametrize("with_head", [True, False])
def test_a_file_of_torchvisions_weights_gives_the_trunk(tmp_path, trunk, with_head):
    kept = {name: t for name, t in trunk.items() if with_head or not name.startswith("fc.")}
    torch.save(kept, tmp_path / "trunk.pth")
    state = trunk_state(str(tmp_path / "trunk.pth"))
    assert state.keys() == {name for name in trunk if not name.startswith("fc.")}
    assert all(torch.equal(state[name], trunk[name]) for name in state)


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "IMAGENET1K_V2"])
def test_a_name_of_torchvision_is_fetched_by_torchvision(monkeypatch, trunk, name):
    asked = []

    def fetch(self, **settings):
        asked.append((self.name, settings))
        return trunk

    monkeypatch.setattr(ResNeXt50_32X4D_Weights, "get_state_dict", fetch)
    assert "conv1.weight" in trunk_state(name)
    assert asked == [(name, {"progress": False, "check_hash": True})]


def test_a_failed_download_says_where_the_file_is_and_what_else_can_be_given(monkeypatch):
    def fail(self, **settings):
        raise URLError("no network")

    monkeypatch.setattr(ResNeXt50_32X4D_Weights, "get_state_dict", fail)
    with pytest.raises(OSError, match="IMAGENET1K_V2: could not be downloaded") as error:
        trunk_state("IMAGENET1K_V2")
    assert "resnext50_32x4d-1a0047aa.pth" in str(error.value)
    assert "none, for random weights" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_that_is_no_file_lists_the_choices():
    with pytest.raises(FileNotFoundError, match=r"'IMAGENET'.* IMAGENET1K_V2, none"):
        trunk_state("IMAGENET")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "not a file of weights"),
        ({"conv1.weight": torch.zeros(1)}, "317 missing, such as bn1.weight; 1 of another shape"),
        ([1, 2], "318 missing"),
    ],
)
def test_a_file_of_something_else_is_one_line(tmp_path, content, message):
    path = tmp_path / "x.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=message) as error:
        trunk_state(str(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_loading_names_what_is_missing_foreign_and_misshapen():
    state = {"weight": torch.zeros(4, 2), "scale": torch.zeros(1)}
    wanted = (
        r"x.pth: the tensors do not fit: 1 missing, such as bias; 1 not of it, such as scale; "
        r"1 of another shape, such as weight \(4, 2\) for \(3, 2\)"
    )
    with pytest.raises(ValueError, match=wanted):
        load_strictly(torch.nn.Linear(2, 3), state, "x.pth")


def test_a_network_from_a_checkpoint_is_the_network_that_was_saved(monkeypatch):
    monkeypatch.setattr(model.weights, "COVIDNext50", NarrowNext)
    saved = NarrowNext(3).eval()
    loaded = load_network(saved.state_dict(), 3, "best.pth")
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), saved(x))
    assert not loaded.training
    with pytest.raises(ValueError, match=r"best.pth: .*logits.module.weight \(4, 32\) for \(3, 32"):
        load_network(NarrowNext(4).state_dict(), 3, "best.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_is_cast_to_single(monkeypatch, dtype):
    monkeypatch.setattr(model.weights, "COVIDNext50", NarrowNext)
    saved = NarrowNext(3).to(dtype)
    loaded = load_network(saved.state_dict(), 3, "best.pth")
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), saved.float().eval()(x))


def test_a_trunk_is_found_as_other_programs_save_it(tmp_path, trunk):
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in trunk.items()}}
    torch.save(wrapped, tmp_path / "trunk.pth")
    state = trunk_state(str(tmp_path / "trunk.pth"))
    assert all(torch.equal(state[name], trunk[name]) for name in state)

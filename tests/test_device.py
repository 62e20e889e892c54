"""Devices and arithmetic by capability."""

import pytest
import torch

from util import device


def test_auto_takes_what_is_here():
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if torch.backends.mps.is_available():
        wanted = "mps"
    assert device.pick_device("auto").type == wanted


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda:99", "found 'cuda:99', but this machine has .* of that kind"),
        ("gpu", "found 'gpu'; expected auto, cpu, cuda, cuda:1 or mps"),
        ("meta", "found 'meta', but this machine has 0 of that kind"),
    ],
)
def test_a_device_that_is_not_here_says_so(name, message):
    with pytest.raises(ValueError, match=message):
        device.pick_device(name)


@pytest.mark.parametrize(("native", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bfloat16_only_where_the_processor_has_it(monkeypatch, native, wanted):
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: native, raising=False)
    assert device.pick_precision("auto", torch.device("cpu")) == wanted
    assert device.pick_precision("float32", torch.device("cpu")) == torch.float32


def test_autocast_computes_in_the_asked_dtype_again_and_again():
    context = device.autocast(torch.bfloat16, torch.device("cpu"))
    for _ in range(2):
        with context:
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with device.autocast(torch.float32, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32

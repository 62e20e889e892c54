"""Devices and arithmetic by capability."""

import pytest
import torch

from util import device


def test_a_network_that_cannot_be_compiled_is_one_line():
    def broken(graph, inputs):
        raise OSError("no compiler")

    message = r"^--compile: torch could not compile the network \(.*\); leave it out"
    with pytest.raises(ValueError, match=message), device.torch_errors_explained():
        torch.compile(lambda x: x + 1, backend=broken)(torch.ones(1))


def test_a_gpu_whose_memory_is_full_is_one_line():
    message = r"^device: out of memory; lower --batch-size, or"
    with pytest.raises(ValueError, match=message), device.torch_errors_explained():
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")


def test_any_other_error_stays_what_it_is():
    with pytest.raises(RuntimeError, match="mat1 and mat2"), device.torch_errors_explained():
        torch.ones(2, 3) @ torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"^bad$"), device.torch_errors_explained():
        raise ValueError("bad")


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


@pytest.mark.parametrize(
    ("native", "scaled", "wanted"),
    [
        (True, True, torch.bfloat16),
        (True, False, torch.bfloat16),
        (False, True, torch.float16),
        (False, False, torch.float32),
    ],
)
def test_a_gpu_without_bfloat16_trains_in_float16_and_predicts_in_float32(
    monkeypatch, native, scaled, wanted
):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert device.pick_precision("auto", torch.device("cuda"), scaled) == wanted


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_precision_has_its_name(name):
    dtype = device.pick_precision(name, torch.device("cpu"))
    assert device.precision_name(dtype) == name


@pytest.mark.parametrize(
    ("trained", "looks"), [("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "float32")]
)
def test_a_network_trained_in_float16_is_run_in_float32(trained, looks):
    assert device.inference_dtype(getattr(torch, trained)) == getattr(torch, looks)


def test_autocast_computes_in_the_asked_dtype_again_and_again():
    context = device.autocast(torch.bfloat16, torch.device("cpu"))
    for _ in range(2):
        with context:
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with device.autocast(torch.float32, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32

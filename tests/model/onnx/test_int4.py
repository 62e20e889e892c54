"""model.onnx.int4: weights are stored in 4 bits and computed with in 8."""

import copy
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnxruntime import InferenceSession

from data.transforms import PLAIN, InputFormat
from model.fuse_batchnorm import fuse_for_inference
from model.gate import Gate
from model.onnx.graph import graph_of
from model.onnx.int4 import round_network
from model.onnx.int8 import to_int8
from model.onnx.precision import graph_in
from model.torch_runtime import TorchRuntime
from tests.helpers.networks import NarrowNext

FORM = InputFormat((64, 64), **PLAIN)
TINY = "block1.module.1.conv1.weight"


@pytest.fixture(scope="module")
def runtime():
    """All layers of the network, with few channels."""
    torch.manual_seed(1)
    network = NarrowNext(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            with torch.no_grad():  # a channel that gives the same whatever it sees
                module.weight[0], module.bias[0] = 0, 1
    network(FORM.normalise(pixels(32)))  # for the statistics of its BatchNorm
    gate = Gate.fit(pixels(20), torch.randn(20, 32))
    network = fuse_for_inference(network, torch.device("cpu"), torch.float32)
    with torch.no_grad():  # a channel for whose weights float16 has few numbers
        tiny = network.get_parameter(TINY)[1]
        tiny *= 1e-6 / tiny.abs().max()
    return TorchRuntime(network, FORM, gate, "cpu", augmented=False)


def pixels(n: int) -> torch.Tensor:
    small = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(n))
    return (
        255 * torch.nn.functional.interpolate(small, (64, 64), mode="bicubic").clamp(0, 1)
    ).byte()


@pytest.fixture(scope="module")
def made(runtime):
    """The steps of the rounded network, its graph in 8 bits, and that in 4."""
    rounded = replace(runtime, network=copy.deepcopy(runtime.network))
    steps = round_network(rounded.network, [FORM.normalise(pixels(16))])
    eight = to_int8(graph_of(rounded, 1.0), [pixels(16).numpy()], steps)
    return rounded, steps, eight, graph_in("int4", runtime, 1.0, [pixels(16).numpy()])


def tensors(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in graph.graph.initializer}


def run(graph: onnx.ModelProto, name: str) -> np.ndarray:
    session = InferenceSession(graph.SerializeToString())
    return session.run([name], {"pixels": pixels(6).numpy()})[0]


def test_a_rounded_network_has_few_numbers_and_gives_nearly_what_it_gave(runtime, made):
    rounded, steps, *_ = made
    exact = dict(runtime.network.named_parameters())
    for name, weight in rounded.network.named_parameters():
        if weight.ndim != 4:
            assert torch.equal(weight, exact[name])
            continue
        numbers = weight / torch.tensor(steps[f"network.{name}"]).view(-1, 1, 1, 1)
        assert (numbers - numbers.round()).abs().max() < 1e-3
        first = name.startswith(("block0", "block1", "block2"))
        assert numbers.abs().max().round() == (127 if first else 7)
    images = FORM.normalise(pixels(6))
    maps, others = (each.network.maps(images) for each in (runtime, rounded))
    nearest = copy.deepcopy(runtime.network)
    for name, weight in nearest.named_parameters():
        if weight.ndim == 4:
            step = torch.tensor(steps[f"network.{name}"]).view(-1, 1, 1, 1)
            weight.data = step * (weight / step).round()
    assert (others - maps).norm() < 0.7 * (nearest.maps(images) - maps).norm()


def test_the_graph_stores_these_numbers_in_4_bits_and_computes_with_8(made):
    rounded, steps, eight, four = made
    found = tensors(four)
    packed = [name for name in found if name.endswith("_4_bits")]
    assert len(packed) == len(steps) - 24
    for name in packed:
        assert found[name].dtype == ml_dtypes.int4
        weight = name.removesuffix("_quantized_4_bits")
        step = found[f"{weight}_scale"].reshape(-1, 1, 1, 1)
        kept = rounded.network.get_parameter(weight.removeprefix("network."))
        np.testing.assert_allclose(found[name].astype(np.float32) * step, kept, rtol=1e-5)
    one, other = (run(graph, "logits") for graph in (eight, four))
    np.testing.assert_allclose(other, one, atol=0.05 * one.std())


def test_the_numbers_of_a_tiny_channel_have_the_signs_of_its_weights(made):
    rounded, _, _, four = made
    kept = rounded.network.get_parameter(TINY)[1].numpy()
    numbers = tensors(four)[f"network.{TINY}_quantized"][1]
    large = abs(kept) > 0.5 * abs(kept).max()
    assert (np.sign(numbers) == np.sign(kept))[large].all()


def test_what_it_computes_is_what_the_rounded_network_does(made):
    rounded, _, _, four = made
    with torch.inference_mode():
        wanted = rounded.network.features(FORM.normalise(pixels(6))).numpy()
    found = run(four, "features")
    np.testing.assert_allclose(found, wanted, atol=0.15 * wanted.std())


def test_a_weight_takes_half_a_byte_and_one_in_the_first_stages_a_byte(made):
    rounded, _, _, four = made
    size = sum(
        len(each.raw_data)
        for each in four.graph.initializer
        if len(each.dims) == 4 and not each.name.endswith("_scale")
    )
    kernels = {n: w.numel() for n, w in rounded.network.named_parameters() if w.ndim == 4}
    first = sum(n for name, n in kernels.items() if name.startswith(("block0", "block1", "block2")))
    assert size == first + (sum(kernels.values()) - first) // 2

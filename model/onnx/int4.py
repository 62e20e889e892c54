"""A network whose weights have 4 bits: half of the size of one in 8-bit integers."""

from collections.abc import Iterable, Mapping

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from model.onnx.int8 import cast_first
from model.onnx.names import INSIDE, QUANTIZED, SCALE, is_early
from model.onnx.rounding import input_products, round_weights

MOST, MOST_EARLY = 7, 127  # largest numbers of 4 bits, and of 8 for weights of `is_early`
OPSET = 21  # the first with 4 bits; ONNX Runtime 1.23 and newer cast them


@torch.inference_mode()
def round_network(network: nn.Module, images: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """Brings the weights of the convolutions to numbers of 4 bits, those of `is_early` to 8, times
    a step for each output channel. In place. The steps, (out,), by a weight's name in a graph.

    images: batches (N, 3, H, W) of training, on which each convolution shall give what it gave.
    """
    steps = {}
    for name, products in input_products(network, images).items():
        conv, path = network.get_submodule(name), f"{INSIDE}{name}.weight"
        most = MOST_EARLY if is_early(path) else MOST
        largest = conv.weight.abs().amax((1, 2, 3), keepdim=True)
        step = largest.clamp_min(1e-8) / most  # also of a channel of zeros
        conv.weight.copy_(step * round_weights(conv.weight / step, most, products))
        steps[path] = step.flatten().numpy()
    return steps


def to_int4(model: onnx.ModelProto, steps: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """A graph that `to_int8` has made of the network with these steps, its weights in 4 bits, those
    of `is_early` in 8.

    ONNX Runtime makes 8 bits of 4 when it loads the file, and computes as in one of `to_int8`.
    """
    tensors = {each.name: each for each in model.graph.initializer}
    for weight, step in steps.items():
        if stored := tensors.get(weight + QUANTIZED):
            few = numpy_helper.to_array(stored).astype(ml_dtypes.int4)
            stored.CopyFrom(numpy_helper.from_array(few, f"{stored.name}_4_bits"))
            cast_first(model.graph, stored.name, weight + QUANTIZED, TensorProto.INT8)
        else:
            _store_early(model.graph, tensors[weight], step.reshape(-1, 1, 1, 1))
    (standard,) = (each for each in model.opset_import if not each.domain)
    standard.version = OPSET
    return model


def _store_early(graph: onnx.GraphProto, weight: onnx.TensorProto, step: np.ndarray) -> None:
    """A weight of `is_early` as numbers of 8 bits and their steps, in the place of its float16 and
    of the node that casts that. (DequantizeLinear would run for each batch, not once. A number is
    found again from its float16, which loses less than half a step, but of weights near 0.)"""
    numbers = (numpy_helper.to_array(weight) / step).round()
    numbers = numbers.clip(-MOST_EARLY, MOST_EARLY).astype(np.int8)
    stored = {weight.name + QUANTIZED: numbers, weight.name + SCALE: step}
    (old,) = (node for node in graph.node if weight.name in node.input)
    whole = f"{weight.name}_whole"
    graph.node.insert(0, helper.make_node("Mul", [whole, weight.name + SCALE], old.output))
    cast_first(graph, weight.name + QUANTIZED, whole, TensorProto.FLOAT)
    graph.node.remove(old)
    graph.initializer.remove(weight)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in stored.items())

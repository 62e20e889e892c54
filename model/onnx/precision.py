"""The graph of a network in the precision that was asked for."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import onnx
import torch

from model.onnx.graph import graph_of
from model.onnx.int4 import round_network, to_int4
from model.onnx.int8 import to_int8
from model.torch_runtime import TorchRuntime


def graph_in(
    precision: str, runtime: TorchRuntime, temperature: float, batches: list[np.ndarray]
) -> onnx.ModelProto:
    """precision: float32, int8 or int4. batches: of pixels of training images (n, C, H, W), by
    which the other two choose their numbers."""
    if precision == "float32":
        return graph_of(runtime, temperature)
    if precision == "int8":
        return to_int8(graph_of(runtime, temperature), batches)
    rounded = replace(runtime, network=deepcopy(runtime.network))
    images = (runtime.form.normalise(torch.from_numpy(pixels)) for pixels in batches)
    steps = round_network(rounded.network, images)
    return to_int4(to_int8(graph_of(rounded, temperature), batches, steps), steps)

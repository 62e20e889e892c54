"""The weights in an ONNX file of export.py, to train on from it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from torch import Tensor

from model.covidnext50 import COVIDNext50
from model.fuse_batchnorm import batchnorms, unfold
from model.onnx.names import INSIDE, QUANTIZED, SCALE
from util.class_names import class_names
from util.model_file import model_file

CONVOLUTION = 4  # dimensions of its weight


def keep_for_training(model: onnx.ModelProto, state: Mapping[str, Tensor]) -> None:
    """Writes into the file all tensors but the convolutions' weights, which the graph has.

    They are what folding takes from a network, and half a megabyte. They lie where ONNX has a place
    for what only training needs, so that programs that run the graph pass over them.
    """
    training = model.training_info.add()
    training.algorithm.name = "state_dict"
    training.algorithm.initializer.extend(
        numpy_helper.from_array(tensor.float().numpy(), name)
        for name, tensor in state.items()
        if tensor.ndim != CONVOLUTION
    )


def load_exported(path: str | Path) -> dict[str, Any]:
    """What `load_checkpoint` gives of the file's checkpoint, as far as training starts from it.

    The convolutions are those of the graph, in a file of 8 or 4 bits as exact as its numbers.
    ValueError for a file that export.py did not write, or an older one.
    """
    path = model_file(path)
    try:
        model = onnx.load(path)
        content = {each.key: json.loads(each.value) for each in model.metadata_props}
        n_classes = len(class_names(content["mapping"]))
        kept = {
            each.name: torch.tensor(numpy_helper.to_array(each))
            for each in model.training_info[0].algorithm.initializer
        }
        network = COVIDNext50(n_classes)
        network.load_state_dict(kept, strict=False)
        folded = _convolutions(model)
        for conv_name, norm_name in batchnorms(network):
            weight = network.get_submodule(conv_name).weight
            norm = network.get_submodule(norm_name)
            weight.data = unfold(folded[f"{conv_name}.weight"], norm, weight).detach()
    except (DecodeError, ValueError, KeyError, IndexError, RuntimeError):
        raise ValueError(
            f"{path}: not an ONNX file of export.py, cut off, or without the weights to train on"
            " from, which those of folds and older ones lack; export the checkpoint again, or give"
            " it itself"
        ) from None
    return content | {"state_dict": network.state_dict()}


def _convolutions(model: onnx.ModelProto) -> dict[str, Tensor]:
    """Name in the network -> weight in the graph, as float32."""
    tensors = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    weights = {}
    for name, array in tensors.items():
        if array.ndim != CONVOLUTION or name.endswith(SCALE):
            continue
        name, quantized, _ = name.partition(QUANTIZED)
        array = array.astype(np.float32)
        if quantized:  # a scale for each channel, the first dimension; the zero point is 0
            array *= tensors[name + SCALE].reshape(-1, 1, 1, 1)
        weights[name.removeprefix(INSIDE)] = torch.from_numpy(array)
    return weights

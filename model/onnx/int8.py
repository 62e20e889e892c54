"""A graph in float32 -> the same in 8-bit integers: a quarter of the size, and faster on CPUs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from model.onnx.names import is_early


class _Batches(CalibrationDataReader):
    def __init__(self, batches: Iterable[np.ndarray]):
        self.batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        pixels = next(self.batches, None)
        return None if pixels is None else {"pixels": pixels}


def to_int8(
    model: onnx.ModelProto,
    batches: Iterable[np.ndarray],
    steps: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """The convolutions but those of `is_early` in 8 bits, scaled by what batches of pixels of
    training images (n, C, H, W) make them give (Jacob et al., arXiv:1712.05877).

    The weights have a scale for each channel, and 7 bits: with 8, sums of two products overflow on
    processors without VNNI, which changed a probability by 0.27. The others' weights are stored as
    float16; they are float32 again as soon as the file is loaded. steps: see
    `model.onnx.int4.round_network`; each channel's largest weight, over 64, if there are none.
    """
    early = [node.name for node in model.graph.node if is_early(_weight(node))]
    own = {
        name: [{"axis": 0, "scale": each, "zero_point": 0} for each in step]
        for name, step in (steps or {}).items()
    }
    add_pre_process_metadata(model)  # torch has inferred all shapes; else a warning asks for it
    with TemporaryDirectory() as folder:
        float32_file, path = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, float32_file)  # of a model in memory it would take the weights away
        quantize_static(
            float32_file,
            path,
            _Batches(batches),
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=early,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": own},
        )
        model = onnx.load(path)
    del model.graph.value_info[:]  # which says float32 of what follows
    for node in [node for node in model.graph.node if node.name in early]:
        _store_halved(model.graph, node)
    return model


def _store_halved(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """The weight of a convolution as float16, and a node before all others that casts it."""
    (weight,) = (each for each in graph.initializer if each.name == _weight(node))
    half = numpy_helper.to_array(weight).astype(np.float16)
    weight.CopyFrom(numpy_helper.from_array(half, weight.name))
    node.input[1] = f"{weight.name}_float32"
    cast_first(graph, weight.name, node.input[1], onnx.TensorProto.FLOAT)


def cast_first(
    graph: onnx.GraphProto, name: str, result: str, kind: onnx.TensorProto.DataType
) -> None:
    """A node before all others that casts the tensor `name` to `kind`."""
    graph.node.insert(0, helper.make_node("Cast", [name], [result], to=kind))


def _weight(node: onnx.NodeProto) -> str:
    """The name that torch gives the weights of a convolution; of other nodes nothing."""
    return node.input[1] if node.op_type == "Conv" else ""

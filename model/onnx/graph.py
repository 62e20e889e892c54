"""A checkpoint's network -> an ONNX graph, from prepared pixels to all that prediction shows."""

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from model.covidnext50 import pool
from model.doubts import Known
from model.grad_cam import grad_cam
from model.onnx.runtime import EXAMINED, MEASURED
from model.test_time_augmentation import mean_maps, variants
from model.torch_runtime import TorchRuntime
from util.checkpoint import ORIGINAL
from util.class_names import class_names
from util.script import NOTICE

OPSET = 20  # ONNX Runtime 1.17 and newer, and what browsers have
LICENCE = "MIT, as the program that wrote it; the images of its training have licences of their own"


class Graph(nn.Module):
    """Pixels (N, 1 or 3, H, W) uint8, as `InputFormat.fit` gives them -> probabilities (N, K), the
    fields of `Examined`, and of `Measured` those of which the gate knows the limits.

    It is what TorchRuntime does, with the checkpoint's temperature.
    """

    def __init__(self, runtime: TorchRuntime, temperature: float):
        super().__init__()
        self.network, self.runtime, self.temperature = runtime.network, runtime, temperature

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        maps = self.maps(pixels)
        features = pool(maps)
        logits = self.network.logits(features)
        heat = grad_cam(maps, logits, self.network.logits.module.weight)
        measured = self.runtime.gate.measure(pixels, features)
        outputs = {
            "probabilities": (logits / self.temperature).softmax(1),
            **dict(zip(EXAMINED, (logits, features, heat), strict=True)),
            **dict(zip(MEASURED, measured, strict=True)),
        }
        return {name: values for name, values in outputs.items() if values is not None}

    def maps(self, pixels: Tensor) -> Tensor:
        """Augmented or not. All variants pass the network at once, so that it is there once."""
        normalise = self.runtime.form.normalise
        if not self.runtime.augmented:
            return self.network.maps(normalise(pixels))
        several = list(variants(pixels))
        maps = self.network.maps(normalise(torch.cat(several)))
        return mean_maps(maps.unflatten(0, (len(several), -1)))


@torch.inference_mode()
def graph_of(runtime: TorchRuntime, temperature: float) -> onnx.ModelProto:
    """For batches of any size, and images of the network's input size."""
    for name in ("onnxscript", "onnx_ir"):  # each node that they remove is a line
        logging.getLogger(name).setLevel(logging.WARNING)
    form, graph = runtime.form, Graph(runtime, temperature).eval()
    channels = 3 if form.mode == "RGB" else 1
    # Of two images, as torch takes a size of 1 for one that is always 1.
    pixels = torch.zeros(2, channels, *form.size, dtype=torch.uint8)
    names = list(graph(pixels))
    program = torch.onnx.export(
        graph,
        (pixels,),
        dynamic_shapes=({0: torch.export.Dim("images")},),
        input_names=["pixels"],
        output_names=names,
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto
    graph = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input):
        del part.metadata_props[:]  # 0.4 MB, with the names of folders of this machine
    return model


def write_facts(
    model: onnx.ModelProto,
    checkpoint: Mapping[str, Any],
    runtime: TorchRuntime,
    export: dict,
    licence: str = LICENCE,
) -> None:
    """Into the metadata, each as JSON: what `load_checkpoint` gives, without tensors.

    checkpoint: of `model.torch_runtime.load`. export: how the file was made. licence: its own.
    """
    facts = {name: checkpoint[name] for name in (*ORIGINAL, "parameters")}
    gate = {name: _limit(known) for name, known in runtime.limits._asdict().items()}
    facts |= {"classes": class_names(facts["mapping"]), "gate": gate, "export": export}
    facts |= {"licence": licence, "notice": NOTICE}
    plain = partial(json.dumps, default=lambda tensor: tensor.tolist())
    onnx.helper.set_model_props(model, {name: plain(value) for name, value in facts.items()})


def _limit(known: Known | None) -> dict[str, float] | None:
    return known and {"limit": known.limit, "share": known.share}

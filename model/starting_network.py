"""The network that a run starts from."""

import logging
from collections.abc import Collection
from typing import Any

from data.images.preparation import Preparation
from data.transforms import IMAGENET, PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.weights import load_strictly, trunk_state
from util.checkpoint import load_checkpoint
from util.class_names import class_names
from util.model_file import model_file

log = logging.getLogger(__name__)


def start_network(
    mapping: dict[str, int],
    weights: str | None,
    backbone_weights: str | None,
    size: tuple[int, int],
    prepared: Preparation,
    leave_out: Collection[str] | None = None,
) -> tuple[COVIDNext50, InputFormat]:
    """The network with the weights that it starts from, and the input that suits them.

    weights: a checkpoint or an ONNX file, as in `model_file`; only with the same classes its head
    is taken, too. None: the trunk starts from `backbone_weights`, see `trunk_state`, or all of it
    from random weights. size: (height, width). prepared: how the dataset's images were made.
    leave_out: sources that the network must not have seen; ValueError for a checkpoint whose
    training did not leave them out, too.
    """
    classes = class_names(mapping)
    if weights is None:
        trunk = trunk_state(backbone_weights) if backbone_weights else None
        model, normal = COVIDNext50(len(classes), trunk), IMAGENET if trunk else PLAIN
    else:
        start = _load(weights)
        if seen := sorted({*(leave_out or ())} - {*(start["config"].get("leave_out") or ())}):
            raise ValueError(
                f"{weights}: its training may have seen {', '.join(seen)}; expected one that left"
                " it out, as --leave-out does here. Start without --weights"
            )
        model, tensors = COVIDNext50(len(classes)), start["state_dict"]
        if class_names(start["mapping"]) != classes:
            log.info("%s: other classes, so the head starts from random weights", weights)
            tensors |= {name: t for name, t in model.state_dict().items() if "logits" in name}
        load_strictly(model, tensors, weights)
        normal = {name: tuple(start["input"][name]) for name in ("mean", "std")}
    return model, InputFormat(size, **normal, prepared=prepared)


def _load(weights: str) -> dict[str, Any]:
    path = model_file(weights)
    if path.suffix != ".onnx":
        return load_checkpoint(path)
    from model.onnx.weights import load_exported  # onnx takes time, which others do without

    return load_exported(path)

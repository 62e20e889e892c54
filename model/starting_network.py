"""The network that a run starts from."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from data.images.preparation import Preparation
from data.subject import learned_elsewhere, with_teachers
from data.transforms import IMAGENET, PLAIN, InputFormat
from model.covidnext50 import COVIDNext50
from model.ensemble import joined_trainings
from model.weights import load_strictly, trunk_state
from util.checkpoint import load_checkpoint
from util.class_names import class_names
from util.model_file import model_file
from util.training.folds import fold_files

log = logging.getLogger(__name__)


class Start(NamedTuple):
    """The network with the weights that a run starts from, and the input that suits them.

    trainings: those that the weights have behind them, as `started_from` of a checkpoint; None for
    weights of ImageNet and random ones. taught_by: those that its teachers have behind them.
    """

    network: COVIDNext50
    form: InputFormat
    trainings: list[dict[str, Any]] | None
    taught_by: list[dict[str, Any]] | None = None


def start_network(
    mapping: dict[str, int],
    weights: str | None,
    backbone_weights: str | None,
    size: tuple[int, int],
    prepared: Preparation,
    leave_out: Collection[str] | None = None,
    keep: bool = False,
) -> Start:
    """weights: a checkpoint or an ONNX file, as in `model_file`; only with the same classes its
    head is taken, too. None: the trunk starts from `backbone_weights`, see `trunk_state`, or all of
    it from random weights. size: (height, width). prepared: how the dataset's images were made.
    leave_out: sources that the network must not have seen; ValueError for a checkpoint whose
    training did not leave them out, too. keep: whether a share of the weights stays for good;
    ValueError where the head would be random.
    """
    classes, trainings = class_names(mapping), None
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
        if (others := class_names(start["mapping"])) != classes:
            if keep:
                raise ValueError(
                    f"--keep-weights: found the classes {', '.join(others)} in {weights}; expected"
                    f" {', '.join(classes)}, as a head of others starts at random. Leave it out"
                )
            log.info("%s: other classes, so the head starts from random weights", weights)
            tensors |= {name: t for name, t in model.state_dict().items() if "logits" in name}
        load_strictly(model, tensors, weights)
        normal = {name: tuple(start["input"][name]) for name in ("mean", "std")}
        own = {name: start.get(name) for name in ("fingerprint", "sources", "config", "taught_by")}
        own["fold"] = start["config"].get("fold")
        trainings = [own, *(start.get("started_from") or ())]
    return Start(model, InputFormat(size, **normal, prepared=prepared), trainings)


def check_unseen(
    weights: str, trainings: Sequence[Mapping[str, Any]], fingerprint: str, fold: str | None
) -> None:
    """A warning where `trainings`, of `start_network`, or their teachers may have seen patients of
    the test split; ValueError where they saw patients that the run validates on or holds out.

    fingerprint: of the dataset of the run. A training on the same one has not seen its test split,
    and with the same fold, or none, it has not seen the others either.
    """
    for training in with_teachers(trainings):
        if training["fingerprint"] == fingerprint and training["fold"] != fold:
            folds = (training["fold"], fold)
            found, wanted = (f"fold {each}" if each else "no fold" for each in folds)
            raise ValueError(
                f"{weights}: its training, of {found}, saw patients of this dataset that this run"
                f" validates on or holds out; expected one of {wanted}. Start without --weights"
            )
    _warn_of_others(weights, trainings, fingerprint)


def teachers_trainings(run: str, fingerprint: str) -> list[dict[str, Any]] | None:
    """Those that the networks of the folds in `run` have behind them, as `started_from` of a
    checkpoint; None where one started from weights and does not say of what trainings. A warning as
    in `check_unseen`."""
    checkpoints = map(load_checkpoint, fold_files(run))
    facts = [(each["started_from"], each["config"].get("weights")) for each in checkpoints]
    if any(weights and not before for before, weights in facts):
        return None
    trainings = joined_trainings(before for before, _ in facts)
    _warn_of_others(run, trainings, fingerprint)
    return trainings


def _warn_of_others(path: str, trainings: Sequence[Mapping[str, Any]], fingerprint: str) -> None:
    """A warning where `trainings`, of the network or the networks in `path`, were on other data
    than those of `fingerprint`."""
    if others := learned_elsewhere(trainings, fingerprint):
        text = "%s: learned from other data (%s). Where patients of these are in the test split,"
        text += " scores there will be too good; generate_dataset.py --split-from keeps them apart"
        log.warning(text, path, others)


def _load(weights: str) -> dict[str, Any]:
    if folds := fold_files(weights):
        raise ValueError(
            f"{weights}: found {len(folds)} networks of folds; expected one. Give best.pth of one"
            f" of them, or learn from all: --distil {weights}"
        )
    path = model_file(weights)
    if path.suffix != ".onnx":
        return load_checkpoint(path)
    from model.onnx.weights import load_exported  # onnx takes time, which others do without

    return load_exported(path)

"""Where weights come from: torchvision's ImageNet weights, a local file, a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from model.covidnext50 import COVIDNext50
from model.resnext import ResNeXt50
from util.checkpoint import state_dict_of

if TYPE_CHECKING:
    from torchvision.models import ResNeXt50_32X4D_Weights


def trunk_state(weights: str) -> dict[str, Tensor]:
    """A state_dict of torchvision's resnext50_32x4d, for `COVIDNext50(trunk_state=...)`.

    weights: a name of torchvision's (`IMAGENET1K_V1`, `IMAGENET1K_V2`), downloaded once into
    torch's cache, or a file with such a state_dict. OSError or ValueError, one line, if neither.
    """
    from torchvision.models import ResNeXt50_32X4D_Weights  # takes 2 s, which only training needs

    if weights in ResNeXt50_32X4D_Weights.__members__:
        return _without_head(_download(ResNeXt50_32X4D_Weights[weights]))
    path = Path(weights)
    if not path.is_file():
        known = ", ".join(weights.name for weights in ResNeXt50_32X4D_Weights)
        raise FileNotFoundError(
            f"backbone weights: found '{weights}', no file; expected one, or {known}, none"
        )
    try:
        state = state_dict_of(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:  # pickle, zip and torch each have their own
        raise ValueError(f"{path}: not a file of weights, or cut off") from None
    with torch.device("meta"):
        trunk = ResNeXt50()
    trunk.fc = nn.Identity()
    state = _without_head(state or {})
    check_fit(trunk, state, f"{path}: torchvision's resnext50_32x4d")
    return state


def load_strictly(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """`model.load_state_dict(state)`, with an error of one line."""
    check_fit(model, state, where)
    model.load_state_dict(state)


def load_network(state: dict[str, Tensor], n_classes: int, where: str) -> COVIDNext50:
    """COVIDNext50 in eval mode with the tensors of a checkpoint; ValueError if they do not fit."""
    with torch.device("meta"):  # no time spent on random weights
        network = COVIDNext50(n_classes)
    check_fit(network, state, where)
    dtypes = {name: tensor.dtype for name, tensor in network.state_dict().items()}
    state = {name: tensor.to(dtypes[name]) for name, tensor in state.items()}  # halves, for example
    network.load_state_dict(state, assign=True)
    return network.eval()


def check_fit(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """ValueError with what of the model `state` lacks, and what is foreign or of another shape."""
    wanted = model.state_dict()
    missing = [name for name in wanted if not isinstance(state.get(name), Tensor)]
    foreign = [str(name) for name in state if name not in wanted]
    misshapen = [
        f"{name} {tuple(state[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if isinstance(state.get(name), Tensor) and state[name].shape != wanted[name].shape
    ]
    kinds = {"missing": missing, "not of it": foreign, "of another shape": misshapen}
    faults = [f"{len(some)} {kind}, such as {some[0]}" for kind, some in kinds.items() if some]
    if faults:
        raise ValueError(f"{where}: the tensors do not fit: {'; '.join(faults)}")


def _download(weights: "ResNeXt50_32X4D_Weights") -> dict[str, Tensor]:
    try:
        return weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network; a file that is not what it should be
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise OSError(
            f"backbone weights {weights.name}: could not be downloaded ({why}). Get"
            f" {weights.url} by other means and give that file instead of the name; or give none,"
            " for random weights"
        ) from None


def _without_head(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}

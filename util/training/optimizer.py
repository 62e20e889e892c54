"""Which optimizer steps which of the weights."""

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from util.training.muon import Muon

# Multiplications for one product of a convolution's matrices, up to which Muon takes it. The nine
# widest of COVIDNext50 would take five sixths of Muon's time. On real images a network without them
# was not worse (96 pixels, 40 epochs, one fold; a trial outside the study).
LARGEST_PRODUCT = 2**28


def make_optimizer(
    model: nn.Module, kind: str, lr: float, weight_decay: float, dtype: torch.dtype = torch.float32
) -> Optimizer:
    """`adamw` (Loshchilov & Hutter, ICLR 2019), `adam` or `muon`, which is Muon for convolutions
    except the widest and AdamW for the rest.

    It has the frozen parameters, too. Biases and BatchNorm parameters are not decayed: shrinking
    them regularises nothing. dtype: of the run's arithmetic; Muon's is bfloat16 if that is, else
    float32.
    """
    everything = list(model.parameters())
    convolutions: dict[int, list[nn.Parameter]] = {}  # by their groups
    if kind == "muon":
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d) and _product_cost(layer) <= LARGEST_PRODUCT:
                convolutions.setdefault(layer.groups, []).append(layer.weight)
    taken = {id(weight) for weights in convolutions.values() for weight in weights}
    rest = [p for p in everything if id(p) not in taken]
    groups = [
        *({"params": ps, "conv_groups": n} for n, ps in convolutions.items()),
        {"params": [p for p in rest if p.ndim > 1]},
        {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One pass over the tensors instead of one for each operation, where torch has it.
    fused = {p.device.type for p in everything} <= {"cpu", "cuda"}
    if kind == "muon":
        of_products = dtype if dtype == torch.bfloat16 else torch.float32
        groups = [{"conv_groups": 0, "weight_decay": weight_decay} | group for group in groups]
        return Muon(groups, lr, of_products, fused and dtype != torch.float16)
    return {"adamw": AdamW, "adam": Adam}[kind](groups, lr, weight_decay=weight_decay, fused=fused)


def _product_cost(layer: nn.Conv2d) -> int:
    """Multiplications that one product of Muon's matrices takes."""
    short, long = sorted((layer.out_channels // layer.groups, layer.weight[0].numel()))
    return layer.groups * short * short * long

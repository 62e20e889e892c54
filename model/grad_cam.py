"""Where in an image a network sees the class that it names."""

import torch
from torch import Tensor


def grad_cam(maps: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """Grad-CAM of the class with the highest logit: maps (N, C, h, w), weight (K, C) -> (N, h, w).

    The head is linear in the mean of each map, so that the gradient of a logit is the head's weight
    over h * w, the same in every cell, and no backward pass is needed. Grad-CAM is then the class
    activation map of Zhou et al. (CVPR 2016) without its negative part (Selvaraju et al., ICCV
    2017, section 3.1).
    """
    of_class = weight[logits.argmax(1)].float()  # (N, C)
    cells = maps.shape[2] * maps.shape[3]
    return torch.einsum("nchw,nc->nhw", maps.float(), of_class).relu() / cells

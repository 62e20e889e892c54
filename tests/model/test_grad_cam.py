"""Grad-CAM by hand; tests/model/test_inference.py compares it with Captum's."""

import torch

from model.grad_cam import grad_cam


def test_heat_of_hand_made_maps():
    maps = torch.tensor([[[[4.0, 0.0], [-4.0, 8.0]], [[0.0, 4.0], [0.0, 4.0]]]])  # (1, 2, 2, 2)
    weight = torch.tensor([[1.0, -1.0], [9.0, 9.0]])
    of_first = grad_cam(maps, torch.tensor([[1.0, 0.0]]), weight)
    assert of_first.tolist() == [[[1.0, 0.0], [0.0, 1.0]]]  # a negative sum counts as none

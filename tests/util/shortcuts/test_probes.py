"""What the probes take away from an image, and where heat lies."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from tests.helpers.paths import REAL_DATA
from util.shortcuts.probes import (
    BLUR_SIDE,
    LUNGS,
    PROBES,
    blurred,
    outside_box,
    without_border,
    without_centre,
)

RSNA = REAL_DATA / "rsna-pneumonia-detection-challenge"


def noise(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    "shape", [(2, 1, 96, 96), (1, 3, 256, 192), (3, 1, 32, 48), (0, 1, 64, 64)]
)
@pytest.mark.parametrize("name", PROBES)
def test_every_probe_keeps_shape_and_type_and_leaves_its_input_alone(name, shape):
    pixels = noise(*shape)
    before = pixels.clone()
    changed = PROBES[name].change(pixels)
    assert (changed.shape, changed.dtype) == (pixels.shape, torch.uint8)
    assert torch.equal(pixels, before)


def test_centre_and_border_are_parts_of_the_image_that_join_to_all_of_it():
    pixels = noise(2, 3, 100, 50)
    border, centre = without_centre(pixels), without_border(pixels)
    assert torch.equal(border + centre, pixels)
    assert not ((border > 0) & (centre > 0)).any()


def test_the_lung_box_is_where_its_fractions_say():
    black = (without_centre(noise(1, 1, 100, 50)) == 0)[0, 0].nonzero()
    assert black.min(0).values.tolist() == [8, 4]
    assert black.max(0).values.tolist() == [89, 45]


@pytest.mark.skipif(not RSNA.is_dir(), reason=f"no real radiographs: {RSNA} is missing")
def test_the_opacities_that_radiologists_marked_lie_in_the_lung_box():
    boxes = pd.read_csv(RSNA / "stage_2_train_labels.csv").dropna()
    left, top = boxes["x"] / 1024, boxes["y"] / 1024  # all images have 1024 x 1024 pixels
    right, bottom = left + boxes["width"] / 1024, top + boxes["height"] / 1024
    across = right.clip(upper=LUNGS.right) - left.clip(lower=LUNGS.left)
    down = bottom.clip(upper=LUNGS.bottom) - top.clip(lower=LUNGS.top)
    assert len(boxes) > 300
    assert (across * down).sum() > 0.999 * ((right - left) * (bottom - top)).sum()


def test_a_frame_of_a_twentieth_is_all_gone_without_the_border():
    pixels = torch.zeros(1, 1, 96, 96, dtype=torch.uint8)
    pixels[:, :, :5] = pixels[:, :, -5:] = pixels[..., :5] = pixels[..., -5:] = 200
    assert not without_border(pixels).any()
    assert torch.equal(without_centre(pixels), pixels)


def test_the_blur_is_opencvs_area_mean_enlarged_bilinearly():
    pixels = noise(1, 1, 96, 96)
    small = cv2.resize(
        pixels[0, 0].numpy().astype(np.float32), (BLUR_SIDE, BLUR_SIDE), None, 0, 0, 3
    )
    wanted = cv2.resize(small, (96, 96), interpolation=cv2.INTER_LINEAR)
    assert np.abs(blurred(pixels)[0, 0].numpy() - wanted).max() <= 0.51  # rounded


def test_the_blur_leaves_a_small_image_and_an_even_one():
    small = noise(2, 1, 16, 12)
    assert torch.equal(blurred(small), small)
    even = torch.full((1, 1, 90, 128), 77, dtype=torch.uint8)
    assert torch.equal(blurred(even), even)


def test_the_blur_takes_the_fine_and_keeps_the_coarse():
    lines = torch.zeros(1, 1, 96, 96, dtype=torch.uint8)
    lines[..., ::2] = 200
    halves = torch.zeros(1, 1, 96, 96, dtype=torch.uint8)
    halves[..., 48:] = 200
    assert blurred(lines).float().std() < 3
    assert blurred(halves).float().std() > 80


@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (3, 3), (8, 8), (7, 12)])
def test_an_even_map_has_the_areas_share_outside_whatever_its_grid(grid):
    assert outside_box(np.ones((2, *grid))) == pytest.approx([LUNGS.outside] * 2)


def test_heat_in_the_middle_is_inside_and_heat_in_the_corner_outside():
    heat = np.zeros((3, 100, 100))
    heat[0, 50, 50] = heat[1, 2, 97] = 5
    heat[2, 50, 50], heat[2, 99, 50] = 3, 1
    assert outside_box(heat) == pytest.approx([0, 1, 0.25])


def test_a_cell_that_the_edge_cuts_counts_by_its_areas():
    heat = np.zeros((1, 3, 3))
    heat[0, 0, 1] = 1  # rows 0 to 1/3, of which the box has what is below 0.08
    assert outside_box(heat) == pytest.approx([3 * LUNGS.top])


def test_a_map_without_heat_is_nan_and_does_not_warn(recwarn):
    found = outside_box(np.stack([np.zeros((3, 3)), np.eye(3)]))
    assert np.isnan(found).tolist() == [True, False]
    assert not recwarn

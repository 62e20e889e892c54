"""The picture of a heat map over a radiograph."""

import matplotlib
import numpy as np
import pytest

from util.plots.heatmap import STRONGEST, overlay

GREY = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)


@pytest.mark.parametrize("shape", [(96, 96), (64, 32), (1024, 800), (1, 1), (3, 500)])
def test_both_halves_have_the_wished_height_and_the_radiographs_proportions(shape):
    picture = overlay(np.zeros(shape, np.uint8), np.ones((3, 3)), height=120)
    assert picture.shape == (120, 2 * round(shape[1] * 120 / shape[0]), 3)
    assert picture.dtype == np.uint8


def test_on_the_left_is_the_radiograph_as_it_is():
    picture = overlay(GREY, np.ones((3, 3)), height=96)
    assert np.array_equal(picture[:, :96], np.repeat(GREY[:, :, None], 3, 2))


def test_without_heat_the_right_is_the_left():
    picture = overlay(GREY, np.zeros((3, 3)), height=200)
    assert np.array_equal(picture[:, :200], picture[:, 200:])


def test_the_hottest_place_has_infernos_last_colour_and_a_cold_one_stays():
    heat = np.zeros((3, 3))
    heat[0, 2] = 7
    picture = overlay(np.full((90, 90), 100, np.uint8), heat, height=90)[:, 90:]
    last = 255 * np.array(matplotlib.colormaps["inferno"](255)[:3])
    assert picture[0, -1] == pytest.approx(STRONGEST * last + (1 - STRONGEST) * 100, abs=2)
    assert picture[-1, 0].tolist() == [100, 100, 100]


def test_only_the_ratios_within_a_map_count():
    heat = np.random.default_rng(1).random((4, 5))
    small, large = overlay(GREY, heat * 1e-6), overlay(GREY, heat * 1e6)
    assert np.abs(small.astype(int) - large).max() <= 1


def test_a_read_only_map_and_radiograph_will_do():
    grey, heat = GREY[::-1], np.eye(3, dtype=np.float32)
    grey.flags.writeable = heat.flags.writeable = False
    assert overlay(grey, heat).shape == (384, 768, 3)

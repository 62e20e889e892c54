"""The picture of a heat map over a radiograph."""

import matplotlib
import numpy as np
import pytest

from util.plots.heatmap import STRONGEST, overlay

GREY = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)


@pytest.mark.parametrize("shape", [(96, 96), (64, 32), (1024, 800), (1, 1), (3, 500)])
def test_both_halves_have_the_size_of_the_radiograph(shape):
    picture = overlay(np.zeros(shape, np.uint8), np.ones((3, 3)))
    assert picture.shape == (shape[0], 2 * shape[1], 3)
    assert picture.dtype == np.uint8


def test_on_the_left_is_the_radiograph_as_it_is():
    picture = overlay(GREY, np.ones((3, 3)))
    assert np.array_equal(picture[:, :96], np.repeat(GREY[:, :, None], 3, 2))


def test_without_heat_the_right_is_the_left():
    picture = overlay(GREY, np.zeros((3, 3)))
    assert np.array_equal(picture[:, :96], picture[:, 96:])


@pytest.mark.parametrize(
    ("seen", "hot"),  # where the right end of the seen square lies, of columns 0 .. 59
    [
        (None, (45, 59)),
        ((15, 0, 45, 30), (38, 44)),  # cropped to the middle
        ((0, -15, 60, 45), (45, 59)),  # padded above and below
        ((-30, -45, 60, 45), (37, 59)),  # and beyond the left edge
    ],
)
def test_the_map_lies_over_what_the_network_saw(seen, hot):
    heat = np.array([[0, 0, 0, 1.0]] * 4)
    film = np.full((30, 60), 100, np.uint8)
    right = overlay(film, heat, seen)[:, 60:].astype(int)
    warm = np.flatnonzero((np.abs(right - 100).max(axis=2) > 50).all(axis=0))
    assert (warm[-1], warm[0]) == (hot[1], pytest.approx(hot[0], abs=4))
    outside = [column for column in range(60) if seen and not seen[0] <= column < seen[2]]
    assert (right[:, outside] == 100).all()


def test_the_hottest_place_has_infernos_last_colour_and_a_cold_one_stays():
    heat = np.zeros((3, 3))
    heat[0, 2] = 7
    picture = overlay(np.full((90, 90), 100, np.uint8), heat)[:, 90:]
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
    assert overlay(grey, heat).shape == (96, 192, 3)

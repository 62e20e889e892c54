"""model.doubts: from what was measured to words."""

import numpy as np
import pytest

from model.doubts import DONE, PLAIN, Limit, Limits, Measured, why_outside

LIMIT = Limit(2.0, 0.98)
SMALL = np.random.default_rng(0).integers(0, 256, (1, 1, 32, 32), np.uint8)


def of_edges(*distances):
    """The doubt of an image with these distances, as it is and with each of DONE undone."""
    return Limits(edges=LIMIT).doubts(Measured(SMALL, np.array([distances])))[0]


def test_the_words_hold_the_distance_and_what_is_usual():
    words = "distance 2.50, 98% of them are below 2.00"
    assert why_outside([2.0, 2.5], LIMIT) == [None, words]
    far = f"its outlines are unlike those of the training images ({words})"
    assert of_edges(2.5, 9, 9, 9, 9) == far


def test_what_is_no_number_lies_outside():
    assert why_outside([np.nan], LIMIT)[0].startswith("distance nan")


@pytest.mark.parametrize("which", range(4))
def test_what_leaves_the_least_to_doubt_was_done(which):
    undone = [PLAIN * 2.0] * 4
    undone[which] -= 0.1
    assert of_edges(2.5, *undone) == DONE[which]
    assert of_edges(1.9, *undone) is None  # the image as it is was usual


def test_what_is_still_far_after_it_is_undone_is_only_measured():
    assert of_edges(2.5, *[PLAIN * 2.0 + 0.01] * 4).startswith("its outlines are unlike")


def test_a_blank_image_is_blank_before_it_is_anything_else():
    limits = Limits(LIMIT, LIMIT)
    measured = Measured(SMALL * 0, np.full((1, 5), 9.0), np.array([9.0]))
    assert limits.doubts(measured)[0].startswith("blank: ")
    assert limits.doubts(measured._replace(small=SMALL))[0].startswith("its outlines are unlike")
    usual = measured._replace(small=SMALL, edges=np.zeros((1, 5)))
    assert limits.doubts(usual)[0].startswith("its features are unlike")

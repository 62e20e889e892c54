"""Varied appearance: as far as asked, a function of what is drawn, and with the film left in it."""

import cv2
import numpy as np
import pytest

from data.appearance import CHANGES, vary_appearance


def film(side=64, seed=0):
    noise = np.random.default_rng(seed).normal(0, 60, (side, side))
    return (120 + cv2.GaussianBlur(noise, (0, 0), 6) * 6).clip(0, 255).astype(np.uint8)


def drawn(seed):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("shape", [(64, 64), (40, 56), (32, 33)])
def test_each_change_keeps_shape_and_kind_and_does_not_write_to_its_image(change, shape):
    image = film(96)[: shape[0], : shape[1]].copy()
    image.flags.writeable = False
    for seed in range(20):
        varied = change(image, 1.0, drawn(seed))
        assert (varied.shape, varied.dtype) == (shape, np.uint8)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_each_change_varies_more_with_more_strength(change):
    image = film()

    def off(strength):
        varied = (change(image, strength, drawn(seed)).astype(float) for seed in range(60))
        return np.mean([np.abs(one - image).mean() for one in varied])

    assert 1.2 * off(0.3) < off(1.0)


def test_what_is_drawn_depends_on_the_generator_only():
    images = [vary_appearance(film(), 1.0, drawn(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_the_film_is_still_there():
    """All changes together leave what a reader needs: most of the picture as it lies."""
    image = film()
    alike = [
        np.corrcoef(vary_appearance(image, 1.0, drawn(seed)).ravel(), image.ravel())[0, 1]
        for seed in range(200)
    ]
    assert np.quantile(alike, 0.1) > 0.3
    assert 0.7 < np.median(alike) < 0.99

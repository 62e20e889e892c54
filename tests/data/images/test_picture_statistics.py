"""Each number of a picture tells what its name says."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter

from data.images.picture_statistics import PERCENTILES, STATISTICS, picture_statistics


def numbers(image):
    return dict(zip(STATISTICS, picture_statistics(np.asarray(image, np.uint8)), strict=True))


def grays(height=64, width=64):
    """Waves of 16 pixels with a little noise, from 40 to 200."""
    rows, columns = np.mgrid[:height, :width]
    waves = 120 + 30 * np.sin(columns / 8 * np.pi) + 30 * np.sin(rows / 8 * np.pi)
    return (waves + np.random.default_rng(0).normal(0, 4, waves.shape)).astype(np.uint8)


def framed(image, width):
    image = image.copy()
    image[:, :width] = image[:, -width:] = 0
    return image


def jpeg(image, quality):
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def blurred(image):
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(2)))


def stretched(image):
    return np.asarray(Image.fromarray(image).resize((128, 64), Image.Resampling.BILINEAR))


def noisy(image):
    noise = np.random.default_rng(1).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def marked(image):
    image = image.copy()
    image[1:4, 1:4] = 255
    return image


@pytest.mark.parametrize(
    ("change", "higher", "lower"),
    [
        (lambda image: image + 50, ["brightness", "percentile_1", "frame", "corners"], []),
        (lambda image: 90 + image // 4, [], ["contrast", "percentile_99", "gray_levels"]),
        (lambda image: np.where(image > 150, 255, image), ["white", "percentile_95"], []),
        (lambda image: image // 8 * 8, ["flat"], ["gray_levels"]),
        (blurred, [], ["fine_detail", "medium_detail", "noise"]),
        (noisy, ["noise", "fine_detail"], []),
        (lambda image: jpeg(image, 20), ["blocks"], []),
        (stretched, [], ["proportions"]),
        (lambda image: stretched(image.T).T, ["proportions"], []),
        (lambda image: framed(image, 8), ["black"], ["frame", "filled_width"]),
        (lambda image: framed(image.T, 8).T, ["black"], ["frame", "filled_height"]),
        (marked, ["marks"], []),
    ],
)  # fmt: skip
def test_a_change_of_the_picture_moves_the_number_that_is_named_after_it(change, higher, lower):
    before, after = numbers(grays()), numbers(change(grays()))
    for name in higher:
        assert after[name] > before[name] + 0.02, name
    for name in lower:
        assert after[name] < before[name] - 0.02, name


def test_a_frame_at_the_sides_leaves_the_height_filled():
    found = numbers(framed(grays(), 8))
    assert found["filled_width"] == pytest.approx(48 / 64)
    assert found["filled_height"] == pytest.approx(1)


def test_brightness_contrast_and_percentiles_are_numpys():
    image = grays()
    found = numbers(image)
    assert found["brightness"] == pytest.approx(image.mean())
    assert found["contrast"] == pytest.approx(image.std())
    wanted = np.percentile(image, PERCENTILES, method="inverted_cdf")
    assert [found[f"percentile_{p}"] for p in PERCENTILES] == wanted.tolist()
    assert found["gray_levels"] == len(np.unique(image))


@pytest.mark.parametrize("image", [np.zeros((16, 16)), np.full((16, 16), 255), grays(16, 16)])
def test_any_picture_has_finite_numbers(image):
    assert np.isfinite(picture_statistics(image.astype(np.uint8))).all()


def test_a_picture_turned_over_has_the_same_tones_and_detail():
    before, after = numbers(grays()), numbers(grays()[:, ::-1])
    same = {name for name in STATISTICS if after[name] == pytest.approx(before[name])}
    assert same >= {*STATISTICS} - {"blocks", "marks", "filled_width", "filled_height"}

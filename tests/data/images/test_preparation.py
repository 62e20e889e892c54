"""A raw file and its copy in a dataset must give the same image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from data.images.preparation import Preparation, equalize
from data.images.radiograph import resize

preparations = st.builds(
    Preparation, st.integers(4, 40), st.sampled_from(["squash", "pad", "crop"]), st.booleans()
)


@st.composite
def images(draw):
    shape = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    grays = np.random.default_rng(draw(st.integers(0, 999))).gamma(1, 40, shape)
    return Image.fromarray(np.clip(grays, 0, draw(st.integers(1, 255))).astype(np.uint8))


@given(preparations, images(), st.sampled_from(["L", "RGB"]))
def test_an_image_that_is_prepared_already_stays_as_it_is(prepare, image, mode):
    once = prepare(image.convert(mode))
    assert once.size == (prepare.size, prepare.size)
    assert once.mode == mode
    assert np.array_equal(prepare(once), once)


WIDE = Image.fromarray(np.repeat([[10, 20, 30, 40, 50, 60, 70, 80]], 4, axis=0).astype(np.uint8))


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("squash", np.asarray(resize(WIDE, 4, 4))),
        ("crop", [[30, 40, 50, 60]] * 4),
        ("pad", [[0] * 4, *np.asarray(resize(WIDE, 2, 4)), [0] * 4]),
    ],
)
def test_each_fit_makes_a_square(fit, expected):
    assert np.array_equal(Preparation(4, fit)(WIDE), expected)


def test_pad_and_crop_keep_the_proportions_of_a_circle():
    rows, columns = np.mgrid[:100, :200]
    disc = Image.fromarray((((rows - 50) ** 2 + (columns - 100) ** 2 < 900) * 255).astype(np.uint8))
    for fit, wide, high in (("pad", 15, 15), ("crop", 30, 30), ("squash", 15, 30)):
        there = np.asarray(Preparation(50, fit)(disc)) > 127
        assert there.any(0).sum() == pytest.approx(wide, abs=1)
        assert there.any(1).sum() == pytest.approx(high, abs=1)


def test_equalised_grays_are_their_rank_and_black_stays_black():
    image = Image.fromarray(np.array([[0, 0, 7, 7], [7, 7, 9, 200]], np.uint8))
    expected = [[0, 0, 1, 1], [1, 1, 1 + 254 * 4 // 6, 1 + 254 * 5 // 6]]
    assert np.array_equal(equalize(image), expected)


def test_exposure_is_gone_after_equalising():
    scan = np.random.default_rng(0).normal(120, 20, (64, 64))
    dark, bright = (Image.fromarray(np.rint(scan * f).astype(np.uint8)) for f in (0.4, 1.0))
    difference = np.asarray(equalize(dark), int) - np.asarray(equalize(bright), int)
    assert np.abs(difference).mean() < 4


def test_padding_does_not_shift_the_grays_of_an_equalised_image():
    scan = Image.fromarray(np.random.default_rng(0).integers(1, 256, (20, 40), np.uint8))
    padded = np.asarray(Preparation(40, "pad", equalize=True)(scan))
    assert np.array_equal(padded[10:30], equalize(scan))
    assert not padded[:10].any()


@pytest.mark.parametrize(
    ("fit", "seen"),
    [("squash", (0, 0, 60, 40)), ("crop", (10, 0, 50, 40)), ("pad", (0, -10, 60, 50))],
)
def test_what_is_seen_of_a_film(fit, seen):
    film = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8))
    assert Preparation(20, fit).seen(*film.size) == seen
    # What lies outside of it may be black; of a padded film nothing does.
    other = Image.new("L", film.size)
    part = tuple(min(max(0, end), side) for end, side in zip(seen, film.size * 2, strict=True))
    other.paste(film.crop(part), part[:2])
    assert Preparation(20, fit)(other) == Preparation(20, fit)(film)

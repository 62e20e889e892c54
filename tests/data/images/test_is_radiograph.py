"""What is left out of a dataset by its looks, and that no real radiograph is."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data.images.gray import UnreadableImageError
from data.images.is_radiograph import why_no_radiograph
from data.images.preparation import Preparation
from data.images.radiograph import read_radiograph
from data.sample.phantom import draw_phantom
from tests.helpers.paths import REAL_DATA

CHEST = Image.fromarray(draw_phantom("normal", np.random.default_rng(0), 160))


def tinted(image, red, green, blue):
    """As a print or a light box of this colour shows it."""
    channels = [image.point(lambda v, part=part: int(v * part)) for part in (red, green, blue)]
    return Image.merge("RGB", channels)


def annotated():
    image = CHEST.convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.line((30, 30, 60, 60), "red", 4)
    draw.line((90, 30, 120, 60), "cyan", 4)
    draw.text((5, 140), "RIGHT", "yellow")
    return image


def marked(gray):
    """A plate that nothing lay on, with its marker."""
    image = Image.new("L", (160, 160), gray)
    ImageDraw.Draw(image).rectangle((4, 4, 20, 24), 255)
    return image


@pytest.mark.parametrize(
    "image",
    [
        CHEST,
        CHEST.convert("RGB"),
        CHEST.point(lambda v: 100 + v // 8),  # badly exposed
        tinted(CHEST, 0.6, 0.8, 1),
        tinted(CHEST, 1, 0.8, 0.5),
        annotated(),
        CHEST.resize((20, 24)),
    ],
    ids=["gray", "gray in RGB", "dull", "blue", "sepia", "annotated", "tiny"],
)
def test_a_radiograph_stays(image):
    assert why_no_radiograph(image) is None


@pytest.mark.parametrize("gray", [0, 90, 255])
def test_a_blank_image_is_left_out_with_or_without_a_marker(gray):
    reason = "blank: nearly all of it within 0 of 255 gray levels"
    assert why_no_radiograph(Image.new("L", (160, 100), gray)) == reason
    assert why_no_radiograph(Image.new("RGB", (160, 100), (gray, gray, gray))) == reason
    assert why_no_radiograph(marked(gray)) == reason


def test_the_noise_of_a_detector_alone_is_blank():
    noise = np.random.default_rng(0).normal(120, 6, (640, 640)).clip(0, 255).astype(np.uint8)
    assert why_no_radiograph(Image.fromarray(noise)).startswith("blank")


def test_a_colour_photograph_is_left_out():
    patches = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    photograph = Image.fromarray(patches).resize((300, 200), Image.Resampling.BICUBIC)
    assert why_no_radiograph(photograph).startswith("a colour photograph: ")


def test_the_photographs_that_come_with_the_packages_are_left_out():
    import matplotlib
    from sklearn.datasets import load_sample_images

    person = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    photographs = [
        read_radiograph(person, None),
        *map(Image.fromarray, load_sample_images().images),
    ]
    for photograph in photographs:
        assert why_no_radiograph(photograph).startswith("a colour photograph: ")


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no radiographs at {REAL_DATA}")
def test_no_real_radiograph_is_left_out():
    images = 0
    folders = ("covid-chestxray-dataset/images", "rsna-*/stage_2_train_images")
    for path in (path for folder in folders for path in REAL_DATA.glob(f"{folder}/*")):
        try:
            image = read_radiograph(path, None, Preparation(256).enough)
        except UnreadableImageError:
            continue
        assert why_no_radiograph(image) is None, path.name
        images += 1
    assert images > 1200


def test_a_very_long_picture_is_looked_at_in_small():
    picture = Image.new("RGB", (20, 1_500_000), "red")
    start = time.perf_counter()
    assert why_no_radiograph(picture).startswith("blank")
    assert time.perf_counter() - start < 2

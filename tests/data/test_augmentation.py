"""Varied images: of torchvision's distribution, and a function of their key alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2 as T
from torchvision.transforms.v2 import functional as F

from data.augmentation import Augmentation
from data.images.preparation import Preparation
from data.transforms import PLAIN, InputFormat

ORDINARY = Augmentation(flip=0.5, rotation=10.0, shift=0.08, scale=(0.9, 1.15), jitter=0.3)
STILL = Augmentation(flip=0.0, rotation=0.0, shift=0.0, scale=(1.0, 1.0), jitter=0.0)
WILD = Augmentation(flip=1.0, rotation=180.0, shift=0.5, scale=(0.2, 4.0), jitter=1.5)


def scan(height, width, seed=0):
    """A smooth picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("vary", [STILL, ORDINARY, WILD], ids=["still", "ordinary", "wild"])
def test_shape_and_kind_stay_and_the_image_is_not_written_to(vary):
    image = scan(40, 56)
    image.flags.writeable = False
    for k in range(20):
        varied = vary(image, (0, 0, k))
        assert (varied.shape, varied.dtype) == ((40, 56), np.uint8)


def test_no_strength_changes_nothing():
    image = scan(40, 56)
    assert np.array_equal(STILL(image, (1, 2, 3)), image)


def test_what_is_drawn_depends_on_the_key_alone():
    image = scan(64, 64)
    one = ORDINARY(image, (1, 2, 3))
    np.random.seed(0)
    torch.manual_seed(0)
    assert np.array_equal(ORDINARY(image, (1, 2, 3)), one)
    keys = [(1, 2, 4), (1, 3, 3), (2, 2, 3), (3, 2, 1)]
    others = [ORDINARY(image, key).tobytes() for key in keys]
    assert len({one.tobytes(), *others}) == 5


GROWING = replace(ORDINARY, warmup=4)


@pytest.mark.parametrize(
    ("epoch", "strength"), [(0, 0.2), (1, 0.4), (2, 0.6), (3, 0.8), (4, 1.0), (99, 1.0)]
)
def test_in_a_warm_up_all_but_the_flip_grows_from_a_fifth_to_the_whole(epoch, strength):
    now = GROWING.in_epoch(epoch)
    assert now.flip == ORDINARY.flip
    assert now.rotation == pytest.approx(strength * ORDINARY.rotation)
    assert now.shift == pytest.approx(strength * ORDINARY.shift)
    assert now.scale == pytest.approx((1 - 0.1 * strength, 1 + 0.15 * strength))
    assert now.jitter == pytest.approx(strength * ORDINARY.jitter)


@pytest.mark.parametrize(
    ("epoch", "size"),
    [(0, (48, 64)), (1, (64, 80)), (2, (80, 112)), (3, (96, 128)), (99, (96, 128))],
)
def test_in_a_warm_up_the_size_grows_from_half_to_the_whole(epoch, size):
    growing = replace(ORDINARY, size=(96, 128), size_warmup=3)
    assert replace(growing.in_epoch(epoch), size_warmup=0) == replace(ORDINARY, size=size)
    assert growing(scan(134, 179), (0, epoch, 0)).shape == size


def test_no_side_grows_from_less_than_32():
    assert replace(ORDINARY, size=(40, 32), size_warmup=3).in_epoch(0).size == (32, 32)


def test_a_small_image_from_a_much_finer_one_is_not_jagged():
    """Lines of 2 of 256 pixels, of which an image of 48 can show nothing but their mean."""
    lines = np.tile(np.array([0, 0, 255, 255], np.uint8), (256, 64))
    turned = replace(STILL, rotation=5.0, size=(48, 48))
    for k in range(5):
        assert turned(lines, (0, 0, k))[8:-8, 8:-8].std() < 30


@pytest.mark.parametrize("epoch", [0, 2, 4])
def test_an_image_is_varied_as_strongly_as_the_epoch_in_its_key_says(epoch):
    image, vary = scan(64, 64), replace(GROWING.in_epoch(epoch), warmup=0)
    for k in range(20):
        assert np.array_equal(GROWING(image, (7, epoch, k)), vary(image, (7, epoch, k)))


def test_without_a_warm_up_every_epoch_has_the_whole():
    assert ORDINARY.in_epoch(0) == ORDINARY.in_epoch(50) == ORDINARY


def test_no_image_is_ever_turned_upside_down():
    upright = np.repeat(np.linspace(255, 0, 64, dtype=np.uint8)[:, None], 64, axis=1)
    for k in range(100):
        image = ORDINARY(upright, (0, 0, k)).astype(float)
        assert image[:16].mean() > image[16:].mean()


@pytest.mark.parametrize(("chance", "mirrored"), [(0.0, 0), (1.0, 200), (0.5, range(75, 126))])
def test_flip_mirrors_left_and_right_as_often_as_asked(chance, mirrored):
    left = np.repeat([[255] * 24 + [0] * 24], 32, axis=0).astype(np.uint8)
    vary = Augmentation(chance, 0.0, 0.0, (1.0, 1.0), 0.0)
    images = [vary(left, (0, 0, k)) for k in range(200)]
    count = sum(np.array_equal(image, left[:, ::-1]) for image in images)
    assert count + sum(np.array_equal(image, left) for image in images) == 200
    assert count in mirrored if isinstance(mirrored, range) else count == mirrored


class Drawn:
    """In place of a random generator: draws what it is told to, from the ranges of ORDINARY."""

    def __init__(self, mirrored, angle, shift, scale, shape):
        reach = 0.08 * np.array(shape[::-1])
        self.values = iter([angle, np.array(shift, float), scale])
        self.ranges = iter([(-10, 10), (-reach, reach), (0.9, 1.15)])
        self.mirrored = mirrored

    def random(self):
        return 0.0 if self.mirrored else 1.0

    def uniform(self, low, high):
        assert np.allclose((low, high), next(self.ranges))
        return next(self.values)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 7.0, -10.0])
@pytest.mark.parametrize(("shift", "scale"), [((0, 0), 1.0), ((5, -3), 0.9), ((-2, 4), 1.15)])
@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_moving_is_torchvisions_affine_after_its_flip(shape, mirrored, angle, shift, scale):
    image = scan(*shape)
    ours = ORDINARY._move(image, Drawn(mirrored, angle, shift, scale, shape)).astype(float)
    theirs = Image.fromarray(image)
    theirs = F.horizontal_flip(theirs) if mirrored else theirs
    theirs = F.affine(
        theirs, angle, list(shift), scale, [0.0, 0.0], interpolation=T.InterpolationMode.BILINEAR
    )
    off = np.abs(ours - np.asarray(theirs, float))[2:-2, 2:-2]
    assert np.quantile(off, 0.95) <= 2  # an edge of the black around may lie a pixel elsewhere


@pytest.mark.parametrize("size", [(48, 80), (43, 72), (24, 40)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_to_another_size_it_is_moved_first_and_then_brought_there(size, mirrored):
    image = scan(48, 80)

    def drawn():
        return Drawn(mirrored, 7.0, (5, -3), 1.15, image.shape)

    ours = replace(ORDINARY, size=size)._move(image, drawn()).astype(float)
    moved = torch.from_numpy(ORDINARY._move(image, drawn()))[None]
    theirs = F.resize(moved, list(size), T.InterpolationMode.BILINEAR, antialias=False)[0].numpy()
    off = np.abs(ours - theirs)[2:-2, 2:-2]
    assert np.quantile(off, 0.95) <= 3
    assert ours.shape == size


def test_an_image_of_another_size_comes_at_the_size_without_being_moved_too():
    image = scan(48, 80)
    small = replace(STILL, size=(24, 40))(image, (0, 0, 0)).astype(float)
    assert np.abs(small - image.reshape(24, 2, 40, 2).mean((1, 3))).max() <= 1


def test_from_finer_images_a_moved_one_is_about_as_sharp_as_one_that_is_not():
    """Of a picture whose finest lines are faint, as in a radiograph."""
    noise = np.random.default_rng(0).normal(128, 40, (256, 256))
    grain = Image.fromarray(cv2.GaussianBlur(noise, (0, 0), 2).clip(0, 255).astype(np.uint8))
    form = InputFormat((64, 64), **PLAIN, prepared=Preparation(256))
    vary = replace(ORDINARY, scale=(1.0, 1.0), shift=0.0, jitter=0.0, size=form.size)

    def sharpness(image):
        return np.diff(image[10:-10, 10:-10].astype(float), n=2).std()

    def of_moved(form):
        return np.mean([sharpness(vary(form.fit(grain)[0], (0, 0, k))) for k in range(50)])

    still = sharpness(form.fit(grain)[0])
    assert of_moved(form) < 0.8 * still
    assert of_moved(form.finer()) == pytest.approx(still, rel=0.15)


def test_exposure_has_torchvisions_distribution():
    """Mean and contrast of 2,000 images, ours against ColorJitter's, at ten quantiles."""
    image = scan(32, 32)
    vary = replace(STILL, jitter=0.8)
    torch.manual_seed(0)
    theirs = T.ColorJitter(brightness=0.8, contrast=0.8)
    picture = Image.fromarray(image)
    a = np.stack([vary(image, (0, 0, k)) for k in range(2000)]).astype(float)
    b = np.stack([np.asarray(theirs(picture), float) for _ in range(2000)])
    for statistic in (np.mean, np.std):
        ours, others = (np.sort(statistic(images, axis=(1, 2))) for images in (a, b))
        assert np.abs(ours - others)[100:1900:200].max() < 0.06 * others.mean()


def test_a_brightness_of_one_and_a_contrast_of_one_change_nothing():
    class One:
        def uniform(self, low, high, size):
            return np.ones(size)

        def permutation(self, values):
            return values

    image = scan(32, 32)
    assert np.array_equal(ORDINARY._expose(image, One()), image)

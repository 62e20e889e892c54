import numpy as np
import pytest
import torch
from PIL import Image

from data.preparation import Preparation
from data.prepare import prepare
from data.record import Record
from data.transforms import (
    IMAGENET,
    PLAIN,
    Augmentation,
    InputFormat,
    eval_transform,
    train_transform,
)

FORM = InputFormat((32, 48), **PLAIN)  # not square: height first
ORDINARY = Augmentation(flip=0.5, rotation=10.0, shift=0.08, scale=(0.9, 1.15), jitter=0.3)
STILL = Augmentation(flip=0.0, rotation=0.0, shift=0.0, scale=(1.0, 1.0), jitter=0.0)
WILD = Augmentation(flip=1.0, rotation=180.0, shift=0.5, scale=(0.2, 4.0), jitter=0.9)


def scan(height, width, seed=0):
    """A smooth picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def denormalised(tensor, norm):
    mean, std = (torch.tensor(norm[name]).view(3, 1, 1) for name in ("mean", "std"))
    return tensor * std + mean


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    "transform",
    [eval_transform(FORM), train_transform(FORM, ORDINARY), train_transform(FORM, WILD)],
    ids=["eval", "train", "wild"],
)
def test_an_image_of_any_size_becomes_three_channels_in_range(transform, mode):
    tensor = transform(scan(50, 70).convert(mode))
    assert tensor.shape == (3, 32, 48)
    assert tensor.dtype == torch.float32
    values = denormalised(tensor, PLAIN)
    assert values.min() >= -1e-6
    assert values.max() <= 1 + 1e-6


@pytest.mark.parametrize("norm", [IMAGENET, PLAIN], ids=["ImageNet", "plain"])
def test_normalisation_is_value_by_255_less_mean_by_deviation(norm):
    image = scan(32, 48)
    tensor = eval_transform(InputFormat((32, 48), **norm))(image)
    values = np.asarray(image, np.float64) / 255
    for channel in range(3):
        expected = (values - norm["mean"][channel]) / norm["std"][channel]
        np.testing.assert_allclose(tensor[channel], expected, atol=1e-5)


def test_the_imagenet_constants_are_torchvisions():
    from torchvision.models import ResNeXt50_32X4D_Weights

    preset = ResNeXt50_32X4D_Weights.IMAGENET1K_V2.transforms()
    assert (list(IMAGENET["mean"]), list(IMAGENET["std"])) == (preset.mean, preset.std)


def test_channels_of_colour_stay_apart():
    form = InputFormat((2, 2), mean=(0, 0, 0), std=(1, 1, 1), mode="RGB")
    tensor = eval_transform(form)(Image.new("RGB", (2, 2), (255, 51, 0)))
    np.testing.assert_allclose(tensor[:, 0, 0], [1, 0.2, 0], atol=1e-6)


@pytest.mark.parametrize("size", [(256, 256), (96, 96), (64, 80)])
@pytest.mark.parametrize("shape", [(1024, 1024), (1024, 800), (90, 120)])
@pytest.mark.parametrize("prepare_as", [Preparation(256), Preparation(256, "pad", equalize=True)])
@pytest.mark.parametrize("name", ["raw.png", "raw.jpg"])
def test_a_raw_file_gives_exactly_the_tensor_of_its_copy_in_the_dataset(
    tmp_path, size, shape, prepare_as, name
):
    raw = tmp_path / name
    gray = scan(*shape, 0)
    tinted = [gray.point(lambda value, k=k: value * (20 - k) // 20) for k in range(3)]
    Image.merge("RGB", tinted).save(raw)
    record = Record("source", 1, raw, "normal", "source:1", "No Finding", "raw.png")
    (copy,) = prepare([record], tmp_path, prepare_as, 0)
    form = InputFormat(size, **IMAGENET, prepared=prepare_as)
    transform = eval_transform(form)
    of_raw, of_copy = (transform(form.read(path)) for path in (raw, tmp_path / copy.filename))
    assert torch.equal(of_raw, of_copy)


def test_the_same_image_gives_the_same_tensor_and_stays_as_it_is():
    image = scan(32, 48)
    before = image.tobytes()
    transform = eval_transform(FORM)
    assert torch.equal(transform(image), transform(image))
    assert image.tobytes() == before


def test_augmentation_of_no_strength_is_the_evaluation_transform():
    image = scan(100, 80)
    assert torch.equal(train_transform(FORM, STILL)(image), eval_transform(FORM)(image))


def test_augmentation_varies_and_repeats_with_torchs_seed():
    image, transform = scan(64, 64), train_transform(FORM, ORDINARY)
    torch.manual_seed(0)
    one, two = transform(image), transform(image)
    torch.manual_seed(0)
    assert torch.equal(transform(image), one)
    assert not torch.equal(one, two)


def test_no_image_is_ever_turned_upside_down():
    upright = Image.fromarray(
        np.repeat(np.linspace(255, 0, 64, dtype=np.uint8), 64).reshape(64, 64)
    )
    torch.manual_seed(0)
    transform = train_transform(FORM, ORDINARY)
    for _ in range(100):
        image = transform(upright)
        assert image[:, :16].mean() > image[:, 16:].mean()


@pytest.mark.parametrize(("chance", "mirrored"), [(0.0, 0), (1.0, 20), (0.5, range(3, 18))])
def test_flip_mirrors_left_and_right_as_often_as_asked(chance, mirrored):
    left = Image.fromarray(np.repeat([[255] * 24 + [0] * 24], 32, axis=0).astype(np.uint8))
    transform = train_transform(FORM, Augmentation(chance, 0.0, 0.0, (1.0, 1.0), 0.0))
    torch.manual_seed(0)
    count = sum(
        bool(image[0, 0, 0] < image[0, 0, -1]) for image in (transform(left) for _ in range(20))
    )
    assert count in mirrored if isinstance(mirrored, range) else count == mirrored


@pytest.mark.parametrize(
    ("vary", "held"),
    [
        # A disc in the middle stays in the middle under rotation and scale, and moves by a shift.
        (Augmentation(0.0, 45.0, 0.0, (1.0, 1.0), 0.0), "place"),
        (Augmentation(0.0, 0.0, 0.0, (0.5, 1.5), 0.0), "place"),
        (Augmentation(0.0, 0.0, 0.2, (1.0, 1.0), 0.0), "area"),
        (Augmentation(0.0, 10.0, 0.2, (1.0, 1.0), 0.0), "area"),
    ],
)
def test_each_strength_varies_its_own_property(vary, held):
    grid = np.hypot(*(np.indices((64, 64)) - 31.5))
    disc = Image.fromarray(np.where(grid < 10, 255, 0).astype(np.uint8))
    transform = train_transform(InputFormat((64, 64), (0, 0, 0), (1, 1, 1)), vary)
    torch.manual_seed(0)
    places, areas = [], []
    for _ in range(20):
        shown = transform(disc)[0].numpy()
        areas.append(shown.sum())
        places.append((np.indices((64, 64)) * shown).sum(axis=(1, 2)) / shown.sum() - 31.5)
    still, moving = (places, areas) if held == "place" else (areas, places)
    assert np.ptp(still, axis=0).max() < (0.5 if held == "place" else 0.06 * np.mean(areas))
    if vary.shift or vary.scale != (1.0, 1.0):
        assert np.ptp(moving, axis=0).max() > (100 if held == "place" else 5)
    assert np.abs(places).max() <= vary.shift * 64 + 0.6

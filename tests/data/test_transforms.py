from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from data.images.preparation import Preparation
from data.prepare import prepare
from data.record import Record
from data.transforms import IMAGENET, PLAIN, InputFormat

FORM = InputFormat((32, 48), **PLAIN)  # not square: height first


def scan(height, width, seed=0):
    """A smooth picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_an_image_of_any_size_has_the_networks_size_and_three_normal_channels(mode, channels):
    pixels = FORM.fit(scan(50, 70).convert(mode))
    assert (pixels.shape, pixels.dtype) == ((channels, 32, 48), np.uint8)
    tensor = FORM.normalise(torch.from_numpy(pixels.copy())[None])
    assert (tensor.shape, tensor.dtype) == ((1, 3, 32, 48), torch.float32)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert tensor.min() >= -2
    assert tensor.max() <= 2


@pytest.mark.parametrize(
    ("size", "prepared", "finer"),
    [
        ((100, 100), 256, (140, 140)),
        ((50, 100), 120, (60, 120)),  # no finer than the dataset, and of the same proportions
        ((256, 256), 256, (256, 256)),
        ((300, 200), 256, (300, 200)),
        ((96, 96), None, (96, 96)),
    ],
)
def test_finer_is_so_many_times_the_size_where_the_dataset_has_it(size, prepared, finer):
    form = InputFormat(size, **IMAGENET, prepared=prepared and Preparation(prepared))
    assert form.finer() == replace(form, size=finer)


@pytest.mark.parametrize("norm", [IMAGENET, PLAIN], ids=["ImageNet", "plain"])
def test_normalisation_is_value_by_255_less_mean_by_deviation(norm):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 1, 32, 48), np.uint8)
    tensor = InputFormat((32, 48), **norm).normalise(torch.from_numpy(pixels))
    for channel in range(3):
        expected = (pixels[:, 0] / 255 - norm["mean"][channel]) / norm["std"][channel]
        np.testing.assert_allclose(tensor[:, channel], expected, atol=1e-5)


def test_normalisation_is_torchvisions():
    from torchvision.transforms import v2 as T

    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 32, 48), np.uint8))
    reference = T.Compose([T.ToDtype(torch.float32, scale=True), T.Normalize(**IMAGENET)])
    ours = InputFormat((32, 48), **IMAGENET).normalise(pixels)
    torch.testing.assert_close(ours, reference(pixels))


def test_only_the_first_batch_copies_numbers_to_the_device(monkeypatch):
    """Each copy to a GPU would wait for what it computes."""
    form = InputFormat((4, 4), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    pixels = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    first = form.normalise(pixels)
    monkeypatch.setattr(torch, "tensor", None)
    assert torch.equal(form.normalise(pixels), first)


def test_a_network_can_be_trained_after_the_first_batch_was_one_of_a_prediction():
    form = InputFormat((4, 4), (0.3, 0.2, 0.1), (0.6, 0.5, 0.4))
    pixels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    with torch.inference_mode():
        form.normalise(pixels)
    weight = torch.ones(1, requires_grad=True)
    (form.normalise(pixels) * weight).sum().backward()
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize("norm", [IMAGENET, PLAIN], ids=["ImageNet", "plain"])
def test_an_image_alone_is_bit_for_bit_the_one_in_a_batch(norm):
    pixels = torch.randint(0, 256, (5, 1, 33, 47), dtype=torch.uint8)
    form = InputFormat((33, 47), **norm)
    batch = form.normalise(pixels)
    for k in range(5):
        assert torch.equal(form.normalise(pixels[k : k + 1])[0], batch[k])
        assert torch.equal(form.normalise(pixels[k : k + 1].expand(-1, 3, -1, -1))[0], batch[k])


def test_the_imagenet_constants_are_torchvisions():
    from torchvision.models import ResNeXt50_32X4D_Weights

    preset = ResNeXt50_32X4D_Weights.IMAGENET1K_V2.transforms()
    assert (list(IMAGENET["mean"]), list(IMAGENET["std"])) == (preset.mean, preset.std)


def test_channels_of_colour_stay_apart():
    form = InputFormat((2, 2), mean=(0, 0, 0), std=(1, 1, 1), mode="RGB")
    pixels = form.fit(Image.new("RGB", (2, 2), (255, 51, 0)))
    tensor = form.normalise(torch.from_numpy(pixels.copy())[None])[0]
    np.testing.assert_allclose(tensor[:, 0, 0], [1, 0.2, 0], atol=1e-6)


@pytest.mark.parametrize("size", [(256, 256), (96, 96), (64, 80)])
@pytest.mark.parametrize("shape", [(1024, 1024), (1024, 800), (90, 120)])
@pytest.mark.parametrize("prepare_as", [Preparation(256), Preparation(256, "pad", equalize=True)])
@pytest.mark.parametrize("name", ["raw.png", "raw.jpg"])
def test_a_raw_file_gives_exactly_the_pixels_of_its_copy_in_the_dataset(
    tmp_path, size, shape, prepare_as, name
):
    raw = tmp_path / name
    gray = scan(*shape, 0)
    tinted = [gray.point(lambda value, k=k: value * (20 - k) // 20) for k in range(3)]
    Image.merge("RGB", tinted).save(raw)
    record = Record("source", 1, raw, "normal", "source:1", "No Finding", "raw.png")
    (copy,) = prepare([record], tmp_path, prepare_as, 0)
    form = InputFormat(size, **IMAGENET, prepared=prepare_as)
    of_raw, of_copy = (form.read(path) for path in (raw, tmp_path / copy.filename))
    assert np.array_equal(of_raw, of_copy)


def test_reading_leaves_the_image_as_it_is():
    image = scan(32, 48)
    before = image.tobytes()
    assert np.array_equal(FORM.fit(image), FORM.fit(image))
    assert image.tobytes() == before

"""Test-time augmentation, against variants made by hand."""

import numpy as np
import pytest
import torch

from model.inference import examine, predict_logits
from model.test_time_augmentation import MOVES, augmented_maps, moved
from tests.helpers.networks import TinyNext

CPU = torch.device("cpu")


def normalise(pixels):
    return pixels.expand(-1, 3, -1, -1) / 255


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return TinyNext(3).eval()


@pytest.fixture(scope="module")
def pixels():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 1, 32, 48), dtype=torch.uint8, generator=generator)


def test_what_is_moved_keeps_its_place_in_the_image_and_black_comes_in():
    image = torch.zeros(1, 1, 20, 30, dtype=torch.uint8)
    image[0, 0, 5, 7] = 200
    for down, right in MOVES:
        result = moved(image, down, right)
        assert result.shape == image.shape
        assert result.dtype == torch.uint8
        assert result.nonzero().tolist() == [[0, 0, 5 + down, 7 + right]]
    white = torch.full((1, 1, 20, 30), 255, dtype=torch.uint8)
    assert not moved(white, 4, 0)[..., :4, :].any()
    assert moved(white, 4, 0)[..., 4:, :].all()
    assert not moved(white, 0, -4)[..., -4:].any()
    assert moved(white, 0, -4)[..., :-4].all()


def by_hand(pixels):
    """The six variants of each image, with numpy only."""
    images = pixels.numpy()
    variants = [images, images[..., ::-1]]
    for axis, by in ((2, 4), (2, -4), (3, 4), (3, -4)):
        variant = np.roll(images, by, axis)
        edge = [slice(None)] * 4
        edge[axis] = slice(by) if by > 0 else slice(by, None)
        variant[tuple(edge)] = 0
        variants.append(variant)
    return [torch.from_numpy(np.ascontiguousarray(variant)) for variant in variants]


def test_logits_are_the_mean_of_those_of_six_variants(network, pixels):
    seen = examine(network, pixels.split(2), CPU, normalise, augmented=True)
    variants = [predict_logits(network, [variant], CPU, normalise) for variant in by_hand(pixels)]
    torch.testing.assert_close(seen.logits, torch.stack(variants).mean(0))
    assert not torch.allclose(seen.logits, variants[0], atol=1e-4)


def test_features_are_the_mean_too_and_the_head_makes_the_logits_of_them(network, pixels):
    seen = examine(network, [pixels], CPU, normalise, augmented=True)
    variants = [examine(network, [variant], CPU, normalise).features for variant in by_hand(pixels)]
    torch.testing.assert_close(seen.features, torch.stack(variants).mean(0))
    with torch.no_grad():
        torch.testing.assert_close(network.logits(seen.features), seen.logits)


def test_the_mirror_images_maps_are_mirrored_back(pixels):
    result = augmented_maps(torch.Tensor.float, pixels)  # a network that leaves images as they are
    variants = by_hand(pixels)
    variants[1] = pixels
    torch.testing.assert_close(result, torch.stack(variants).float().mean(0))


def test_in_bfloat16_the_variants_are_added_up_in_float32(network, pixels):
    exact = examine(network, [pixels], CPU, normalise, augmented=True)
    rough = examine(
        network, [pixels], CPU, normalise, torch.autocast("cpu", torch.bfloat16), augmented=True
    )
    for whole, part in zip(exact, rough, strict=True):
        assert part.dtype == torch.float32
        assert (whole - part).abs().max() < 0.02 * whole.abs().max()
    in_halves = augmented_maps(torch.Tensor.bfloat16, pixels)
    assert in_halves.dtype == torch.float32
    variants = torch.stack([variant.bfloat16().float() for variant in by_hand(pixels)])
    variants[1] = variants[0]
    torch.testing.assert_close(in_halves, variants.mean(0))


def test_colour_and_channels_last_are_moved_alike(pixels):
    colour = pixels.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
    for down, right in MOVES:
        assert torch.equal(moved(colour, down, right)[:, 2:], moved(pixels, down, right))

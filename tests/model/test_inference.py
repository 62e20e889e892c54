"""Logits, features and heat maps of the same pass, against Captum's Grad-CAM."""

import pytest
import torch
from captum.attr import LayerGradCam

from model.inference import examine, predict_logits
from tests.helpers.networks import NarrowNext, TinyNext

CPU = torch.device("cpu")


def normalise(pixels):
    return pixels.expand(-1, 3, -1, -1) / 255


@pytest.fixture(scope="module", params=[NarrowNext, TinyNext])
def model(request):
    torch.manual_seed(0)
    model = request.param(3)
    for module in model.modules():  # zeros in these would hide the residual branches
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.running_mean, std=0.2)
    head = model.logits.module
    with torch.no_grad():  # of two opposite classes one has heat
        head.bias.zero_()
        head.weight[2] = -head.weight[1]
    return model.eval()


@pytest.fixture(scope="module")
def batches():
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (5, 1, 96, 128), dtype=torch.uint8, generator=generator)
    return pixels.split(2)


def test_heat_is_captums_grad_cam_of_the_predicted_class(model, batches):
    seen = examine(model, batches, CPU, normalise)
    images = torch.cat([normalise(pixels) for pixels in batches])
    cam = LayerGradCam(model, model.backbone_end)
    wanted = cam.attribute(images, target=seen.logits.argmax(1), relu_attributions=True)
    assert wanted.amax((1, 2, 3)).min() > 0
    torch.testing.assert_close(seen.heat, wanted[:, 0].detach(), rtol=1e-4, atol=1e-7)


def test_one_pass_gives_the_logits_of_predict_logits_and_their_features(model, batches):
    seen = examine(model, batches, CPU, normalise)
    assert torch.equal(seen.logits, predict_logits(model, batches, CPU, normalise))
    with torch.no_grad():  # the features are what the head makes the logits of
        torch.testing.assert_close(model.logits(seen.features), seen.logits)


def test_each_image_is_passed_once_and_in_order(model, batches):
    shown = []

    def count(pixels):
        shown.append(len(pixels))
        return normalise(pixels)

    seen = examine(model, batches, CPU, count)
    assert shown == [2, 2, 1]
    alone = examine(model, batches[1:2], CPU, normalise)
    for whole, part in zip(seen, alone, strict=True):
        torch.testing.assert_close(whole[2:4], part, rtol=1e-3, atol=1e-5)


def test_a_network_in_training_mode_is_examined_in_eval_mode(model, batches):
    wanted = examine(model, batches, CPU, normalise)
    model.train()
    found = examine(model, batches, CPU, normalise)
    assert torch.equal(found.heat, wanted.heat)
    assert not model.training


def test_lower_precision_gives_float32_close_to_it(model, batches):
    exact = examine(model, batches, CPU, normalise)
    autocast = torch.autocast("cpu", torch.bfloat16)
    rough = examine(model, batches, CPU, normalise, autocast)
    for whole, part in zip(exact, rough, strict=True):
        assert part.dtype == torch.float32
        assert (whole - part).abs().max() < 0.1 * whole.abs().max()

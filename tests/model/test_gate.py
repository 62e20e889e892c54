"""What the input gate doubts. Of real radiographs see tests/scripts/test_real_data.py."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from data.record import LABELS
from data.sample.phantom import draw_axial, draw_lateral, draw_phantom
from model.gate import EDGE_ALARMS, FEATURE_ALARMS, Gate, edges
from tests.helpers.networks import MAPPING, NarrowNext, input_form
from util.checkpoint import load_checkpoint, save_checkpoint

SIZE = 64


def frontals(n, seed, size=SIZE):
    """(N, 1, H, W): new people of each class in turn."""
    drawn = (
        draw_phantom(LABELS[k % len(LABELS)], np.random.default_rng([seed, k]), size)
        for k in range(n)
    )
    return np.stack(list(drawn))[:, None]


@pytest.fixture(scope="module")
def seen():
    return frontals(200, seed=0)


@pytest.fixture(scope="module")
def new():
    return frontals(80, seed=1)


@pytest.fixture(scope="module")
def gate(seen):
    return Gate.fit(seen)


def spread(values):
    """Over all gray levels."""
    values = values - values.min()
    return (255 * values / values.max()).astype(np.uint8)


def soft_blobs(rng):
    coarse = Image.fromarray(spread(rng.normal(size=(6, 6))))
    return np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def pink_noise(rng):
    """As rough as photographs are: amplitude 1/f."""
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE))
    frequency[0, 0] = 1
    return spread(np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIZE, SIZE))) / frequency).real)


def shapes(rng):
    image = Image.new("L", (SIZE, SIZE), int(rng.integers(256)))
    for k in range(8):
        corners = np.sort(rng.integers(0, SIZE, (2, 2)), axis=0).ravel().tolist()
        draw = ImageDraw.Draw(image)
        (draw.ellipse if k % 2 else draw.rectangle)(corners, fill=int(rng.integers(256)))
    return np.asarray(image)


def page(rng):
    image = Image.new("L", (SIZE, SIZE), 255)
    for y in range(3, SIZE - 10, 12):
        letters = "".join(map(chr, rng.integers(97, 123, 10)))
        ImageDraw.Draw(image).text((3, y), letters, 0)
    return np.asarray(image)


def checkerboard(rng):
    cells = np.add.outer(np.arange(SIZE), np.arange(SIZE) * 0) // rng.integers(5, 20)
    return (255 * ((cells + cells.T) % 2)).astype(np.uint8)


def ramp(rng):
    return spread(np.add.outer(np.arange(SIZE) * rng.normal(), np.arange(SIZE) * rng.normal()))


def corner(rng):
    whole = Image.fromarray(draw_phantom("normal", rng, 2 * SIZE))
    return np.asarray(whole.crop((0, 0, SIZE, SIZE)))


NO_FRONTALS = {
    "lateral": lambda rng: draw_lateral(rng, SIZE),
    "axial CT": lambda rng: draw_axial(rng, SIZE),
    "soft blobs": soft_blobs,
    "pink noise": pink_noise,
    "noise": lambda rng: rng.integers(0, 256, (SIZE, SIZE), np.uint8),
    "shapes": shapes,
    "page": page,
    "checkerboard": checkerboard,
    "ramp": ramp,
    "corner": corner,
    "blank": lambda rng: np.full((SIZE, SIZE), rng.integers(256), np.uint8),
    "a detector's noise": lambda rng: rng.normal(120, 3, (SIZE, SIZE)).astype(np.uint8),
}


def doubted(reasons):
    return np.mean([reason is not None for reason in reasons])


def test_new_frontal_radiographs_pass(gate, new):
    assert doubted(gate.doubts(new)) <= 0.05


@pytest.mark.parametrize("kind", NO_FRONTALS)
def test_what_is_no_frontal_radiograph_is_doubted(gate, kind):
    images = [NO_FRONTALS[kind](np.random.default_rng([2, k])) for k in range(20)]
    assert doubted(gate.doubts(np.stack(images)[:, None])) >= 0.9


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (lambda pixels: 255 - pixels, "its polarity seems inverted"),
        (lambda pixels: np.rot90(pixels, 3, (2, 3)), "it seems turned to the right"),
        (lambda pixels: np.rot90(pixels, 1, (2, 3)), "it seems turned to the left"),
        (lambda pixels: np.rot90(pixels, 2, (2, 3)), "it seems upside down"),
    ],
    ids=["inverted", "right", "left", "upside down"],
)
def test_what_was_done_to_a_radiograph_is_named(gate, new, done, reason):
    reasons = gate.doubts(done(new))
    assert None not in reasons
    assert np.mean([found == reason for found in reasons]) >= 0.75


def test_what_is_not_known_is_only_measured(gate):
    views = [draw_lateral(np.random.default_rng(k), SIZE) for k in range(10)]
    for reason in gate.doubts(np.stack(views)[:, None]):
        assert reason.startswith("its outlines are unlike those of the training images (distance")
        assert reason.endswith(f"98% of them are below {gate.edges.limit:.2f})")


def test_exposure_counts_for_nothing(gate, new):
    dull = 60 + new // 3
    assert doubted(gate.doubts(dull)) <= 0.05
    assert torch.allclose(edges(dull), edges(new), atol=0.25)


def test_gray_in_three_channels_is_the_same_image(gate, new):
    assert gate.doubts(np.repeat(new, 3, axis=1)) == gate.doubts(new)


def test_an_image_alone_is_judged_as_in_a_batch(gate, new):
    mixed = np.concatenate([new[:20], 255 - new[:20], new[:1] * 0])
    alone = [gate.doubts(image[None])[0] for image in mixed]
    assert gate.doubts(mixed) == alone


@pytest.mark.parametrize("size", [32, 256])
def test_any_size_of_input_will_do(size):
    gate = Gate.fit(frontals(60, 0, size))
    assert doubted(gate.doubts(frontals(20, 1, size))) <= 0.05
    views = np.stack([draw_lateral(np.random.default_rng(k), size) for k in range(10)])[:, None]
    assert doubted(gate.doubts(views)) == 1


def test_the_edges_turn_with_the_image(new):
    upright = edges(new).view(-1, 4, 5, 5)
    over = edges(new[:, :, ::-1, ::-1]).view(-1, 4, 5, 5)
    # What was a slope to the right at the top left is one to the left at the bottom right.
    assert torch.allclose(over, upright[:, [1, 0, 3, 2]].flip(2, 3), atol=1e-5)
    negative = edges(255 - new).view(-1, 4, 5, 5)
    assert torch.allclose(negative, upright[:, [1, 0, 3, 2]], atol=1e-4)


def test_an_edge_is_found_in_its_place_and_direction():
    half = np.zeros((1, 1, SIZE, SIZE), np.uint8)
    half[..., SIZE // 2 :] = 200  # dark left, bright right
    right, left, down, up = edges(half).view(4, 5, 5)
    assert right.argmax() % 5 == 2
    assert right.max() > right.min() + 1
    for none in (left, down, up):
        assert torch.allclose(none, torch.tensor(0.02).log())


def test_odd_features_are_doubted_where_the_outlines_are_usual(seen, new):
    torch.manual_seed(0)
    gate = Gate.fit(seen, torch.randn(len(seen), 512))
    usual = torch.randn(len(new), 512)
    assert doubted(gate.doubts(new, usual)) <= 0.08
    reasons = gate.doubts(new, 3 * usual)
    assert None not in reasons
    words = "its features are unlike those of the training images (distance"
    assert sum(reason.startswith(words) for reason in reasons) >= 0.9 * len(new)
    assert gate.doubts(new) == Gate.fit(seen).doubts(new)  # not asked


def test_the_features_of_a_network_that_learned_nothing_do_no_harm(seen, new):
    torch.manual_seed(0)
    network = NarrowNext(3).eval()

    @torch.inference_mode()
    def features(pixels):
        small = torch.from_numpy(pixels[:, :, ::2, ::2].copy()).float() / 64 - 2
        return network.features(small.expand(-1, 3, -1, -1))

    gate = Gate.fit(seen[:100], features(seen[:100]))
    assert doubted(gate.doubts(new[:40], features(new[:40]))) <= 0.05


def test_the_gate_is_the_same_from_a_checkpoint(tmp_path, seen, new):
    torch.manual_seed(0)
    gate = Gate.fit(seen, torch.randn(len(seen), 512))
    content = {"state_dict": {}, "mapping": MAPPING, "input": input_form((32, 32))}
    save_checkpoint(tmp_path / "a.pth", content | {"gate": gate.state()})
    assert (tmp_path / "a.pth").stat().st_size < 400_000
    again = Gate.of(load_checkpoint(tmp_path / "a.pth")["gate"])
    mixed, features = np.concatenate([new, 255 - new]), torch.randn(2 * len(new), 512)
    assert again.doubts(mixed, features) == gate.doubts(mixed, features)


def test_a_checkpoint_without_a_gate_doubts_what_can_be_no_radiograph(gate, new):
    none = Gate.of(None)
    assert none.doubts(new, torch.zeros(len(new), 512)) == [None] * len(new)
    for each in (none, gate):
        (blank,) = each.doubts(new[:1] * 0)
        assert blank == "blank: nearly all of it within 0 of 255 gray levels"
    colours = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 4), np.uint8)
    (photograph,) = none.doubts(colours.repeat(16, axis=2).repeat(16, axis=3))
    assert photograph.startswith("a colour photograph: ")


def test_of_few_images_nothing_is_learned_and_the_gate_says_so(seen, new):
    assert Gate.fit(seen[:48], torch.zeros(48, 8)) == Gate.of(Gate().state()) == Gate()
    assert Gate().doubts(255 - new) == [None] * len(new)
    assert not Gate().limits.learned
    assert Gate.fit(seen[:60]).limits.learned  # enough for the outlines alone


def test_no_image_is_no_doubt(gate):
    assert gate.doubts(np.zeros((0, 1, SIZE, SIZE), np.uint8), torch.zeros(0, 512)) == []


def test_images_mapped_read_only_are_taken_without_a_warning(gate, new):
    new.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gate.doubts(new) == gate.doubts(torch.tensor(np.array(new)))
    new.flags.writeable = True


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((2, 2, 9, 9), np.uint8), r"\(2, 2, 9, 9\) uint8"),
        (np.zeros((2, 9, 9), np.uint8), r"\(2, 9, 9\) uint8"),
        (np.zeros((2, 1, 9, 9), np.float32), r"\(2, 1, 9, 9\) float32"),
        (torch.zeros(2, 1, 9, 9), r"\(2, 1, 9, 9\) torch.float32"),
    ],
)
def test_other_pixels_are_an_error(gate, pixels, found):
    for ask in (Gate.fit, gate.doubts):
        with pytest.raises(ValueError, match=rf"pixels: found {found}; expected \(N, 1 or 3"):
            ask(pixels)


@pytest.mark.parametrize(
    ("features", "found"),
    [
        (torch.zeros(3, 8), r"\(3, 8\) with 0 values"),
        (torch.zeros(200), r"\(200,\) with 0 values"),
        (torch.full((200, 8), torch.nan), r"\(200, 8\) with 1600 values"),
    ],
)
def test_other_features_are_an_error(seen, features, found):
    with pytest.raises(ValueError, match=rf"features: found {found} .*expected \(200, D\)"):
        Gate.fit(seen, features)


@pytest.mark.parametrize("state", [{"eyes": None}, {"edges": {"mean": 0}}, {"edges": 3}, [1]])
def test_what_is_no_gate_is_an_error(state):
    with pytest.raises(ValueError, match=r"gate: found .*; expected what train\.py wrote"):
        Gate.of(state)


def test_each_distance_has_its_own_part_of_alarms(seen):
    gate = Gate.fit(seen, torch.randn(len(seen), 512))
    assert (gate.edges.share, gate.features.share) == (1 - EDGE_ALARMS, 1 - FEATURE_ALARMS)
    assert EDGE_ALARMS > FEATURE_ALARMS

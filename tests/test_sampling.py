from collections import Counter

import numpy as np
import pytest

from data.sampling import EpochSampler, class_weights

TARGETS = [0] * 90 + [1] * 9 + [2]


@pytest.mark.parametrize("mode", ["shuffle", "balanced"])
def test_order_is_a_function_of_seed_and_epoch_alone(mode):
    sampler = EpochSampler(TARGETS, mode, seed=7)
    first = list(sampler)
    assert list(sampler) == first
    np.random.seed(0)
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(EpochSampler(TARGETS, mode, seed=8)) != first
    later = EpochSampler(TARGETS, mode, seed=7)  # of a run that was resumed
    later.set_epoch(1)
    assert list(later) == second


def test_shuffle_shows_every_image_once():
    sampler = EpochSampler(TARGETS, "shuffle", seed=0)
    assert len(sampler) == 100
    assert sorted(sampler) == list(range(100))
    assert list(sampler) != list(range(100))


def test_balanced_draws_each_class_and_then_each_of_its_images_equally_often():
    sampler = EpochSampler(TARGETS, "balanced", seed=0)
    drawn = []
    for epoch in range(300):
        sampler.set_epoch(epoch)
        drawn += sampler
    assert len(drawn) == 300 * len(sampler) == 30_000
    assert set(drawn) == set(range(100))
    # 10,000 a class, whose standard deviation is 82; below, 111 and 1,111 of each image.
    for count in Counter(TARGETS[k] for k in drawn).values():
        assert abs(count - 10_000) < 400
    images = Counter(drawn)
    assert all(60 < images[k] < 170 for k in range(90))
    assert all(950 < images[k] < 1270 for k in range(90, 99))


def test_balanced_does_without_a_class_that_has_no_image():
    sampler = EpochSampler([0] * 10 + [2] * 10, "balanced", seed=0)
    assert 0 < sum(k < 10 for k in sampler) < 20


def test_another_mode_is_refused_by_name():
    with pytest.raises(ValueError, match="sampling") as caught:
        EpochSampler(TARGETS, "random")
    assert str(caught.value) == "sampling: found 'random'; expected shuffle or balanced"


def test_class_weights_are_the_inverse_frequency():
    assert class_weights(TARGETS, 3) == pytest.approx([100 / 270, 100 / 27, 100 / 3])
    assert class_weights([0, 1, 1, 0], 2) == [1.0, 1.0]


def test_classes_weigh_alike_and_images_one_on_average():
    weights = class_weights(TARGETS, 3)
    of_images = np.array([weights[target] for target in TARGETS])
    assert of_images.mean() == pytest.approx(1)
    shares = [of_images[np.array(TARGETS) == k].sum() for k in range(3)]
    assert shares == pytest.approx([100 / 3] * 3)


def test_class_weights_are_scikit_learns_balanced_ones():
    from sklearn.utils.class_weight import compute_class_weight

    reference = compute_class_weight("balanced", classes=np.arange(3), y=TARGETS)
    assert class_weights(TARGETS, 3) == pytest.approx(list(reference))


@pytest.mark.parametrize(("targets", "empty"), [([0, 2, 2], 1), ([0, 1], 2), ([1, 2], 0)])
def test_a_class_without_an_image_has_no_weight_and_is_named(targets, empty):
    with pytest.raises(ValueError, match="no training image") as caught:
        class_weights(targets, 3)
    assert str(caught.value) == (
        f"loss_weights: class {empty} has no training image;"
        " give the weights as numbers, or take the class out of the mapping"
    )

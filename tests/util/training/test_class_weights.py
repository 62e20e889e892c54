"""What an error on each class costs, and how common each class then seems."""

import numpy as np
import pytest

from util.training.class_weights import class_prior, class_weights

TARGETS = [0] * 90 + [1] * 9 + [2]
EVEN = [1 / 270] * 90 + [1 / 27] * 9 + [1 / 3]  # chances that draw each class equally often


@pytest.mark.parametrize(
    ("kind", "chances", "prior"),
    [
        (None, None, [0.9, 0.09, 0.01]),
        ("counts", None, [1 / 3] * 3),
        (None, EVEN, [1 / 3] * 3),
        ([0, 1, 9], None, [0, 0.5, 0.5]),
    ],
)
def test_the_prior_is_how_common_each_class_seems(kind, chances, prior):
    weights = class_weights(kind, TARGETS, 3, chances)
    assert class_prior(weights, TARGETS, chances) == pytest.approx(prior)


def test_counts_are_the_inverse_frequency_of_what_is_shown():
    assert class_weights("counts", TARGETS, 3) == pytest.approx([100 / 270, 100 / 27, 100 / 3])
    assert class_weights("counts", TARGETS, 3, EVEN) == pytest.approx([1, 1, 1])


def test_effective_weights_lie_between_counts_and_none_and_are_those_of_the_paper():
    targets = [0] * 5000 + [1] * 500 + [2] * 50
    weights = class_weights("effective", targets, 3)
    paper = np.array([(1 - 0.999) / (1 - 0.999**n) for n in (5000, 500, 50)])
    assert weights / weights[0] == pytest.approx(paper / paper[0])
    assert np.mean(weights[targets]) == pytest.approx(1)
    counts = class_weights("counts", targets, 3)
    assert 1 < weights[2] / weights[0] < counts[2] / counts[0]


@pytest.mark.parametrize(("targets", "empty"), [([0, 2, 2], 1), ([0, 1], 2), ([1, 2], 0)])
@pytest.mark.parametrize("kind", ["counts", "effective"])
def test_a_class_without_an_image_has_no_weight_and_is_named(kind, targets, empty):
    with pytest.raises(ValueError, match="no training image") as caught:
        class_weights(kind, targets, 3)
    assert str(caught.value) == (
        f"loss_weights: class {empty} has no training image;"
        " give the weights as numbers, or take the class out of the mapping"
    )

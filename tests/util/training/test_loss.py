"""The loss of a batch that several ranks share, and that they all learn when to stop."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from util.distributed import Ranks
from util.training.loss import batch_loss, stop_heard

WEIGHTS = torch.tensor([0.5, 1.0, 3.0])


@dataclass(frozen=True)
class OneOfTwo(Ranks):
    """One of two ranks, whose sums are `both`."""

    both: torch.Tensor | None = None

    def sum(self, value):
        return self.both


def batch(seed=0, images=7):
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, 3, generator=draw, requires_grad=True)
    return logits, torch.randint(0, 3, (images,), generator=draw)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [WEIGHTS, torch.ones(3)])
def test_on_one_rank_it_is_torchs_cross_entropy(weights, smoothing):
    logits, targets = batch()
    loss = batch_loss(logits, targets, weights, smoothing, Ranks())
    reference = nn.CrossEntropyLoss(weights, label_smoothing=smoothing)(logits, targets)
    torch.testing.assert_close(loss.to_backward, reference)
    torch.testing.assert_close(loss.mean, reference)
    assert not loss.mean.requires_grad


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_batch_of_images_without_weight_teaches_nothing(smoothing):
    logits, _ = batch()
    targets = torch.zeros(7, dtype=torch.int64)
    loss = batch_loss(logits, targets, torch.tensor([0.0, 1.0, 3.0]), smoothing, Ranks())
    assert (loss.to_backward.item(), loss.mean.item()) == (0, 0)
    (gradient,) = torch.autograd.grad(loss.to_backward, logits)
    assert not gradient.any()


def test_the_ranks_learn_how_many_were_asked_to_stop():
    logits, targets = batch()
    for stop in (False, True):
        assert batch_loss(logits, targets, WEIGHTS, 0.1, Ranks(), stop).stops == stop
    both = torch.tensor([2.0, 4.0, 1.0])
    loss = batch_loss(logits, targets, WEIGHTS, 0.1, OneOfTwo(size=2, both=both), stop=False)
    assert (loss.mean, loss.stops) == (0.5, 1)
    assert stop_heard(loss, 3, OneOfTwo(size=2), stop=lambda: False)
    assert not stop_heard(loss, 3, Ranks(), stop=lambda: False)  # one rank only asks itself


def test_the_mean_of_the_gradients_of_two_ranks_is_the_gradient_of_one():
    """With parts of 4 and of 3 images, and weights that are not alike."""
    logits, targets = batch()
    (whole,) = torch.autograd.grad(
        batch_loss(logits, targets, WEIGHTS, 0.1, Ranks()).to_backward, logits
    )
    parts = [slice(0, None, 2), slice(1, None, 2)]
    sums = [
        nn.CrossEntropyLoss(WEIGHTS, reduction="sum", label_smoothing=0.1)(logits[p], targets[p])
        for p in parts
    ]
    both = torch.stack([sum(sums).detach(), WEIGHTS[targets].sum(), torch.zeros(())])
    mean = torch.zeros_like(whole)
    for part in parts:
        ranks = OneOfTwo(size=2, both=both)
        loss = batch_loss(logits[part], targets[part], WEIGHTS, 0.1, ranks)
        mean += torch.autograd.grad(loss.to_backward, logits)[0] / 2
        one = batch_loss(logits, targets, WEIGHTS, 0.1, Ranks())
        torch.testing.assert_close(loss.mean, one.mean)
    torch.testing.assert_close(mean, whole)

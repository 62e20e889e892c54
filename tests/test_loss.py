"""The loss of a batch that several ranks share, and the step at which it stopped being a number."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from util.distributed import Ranks
from util.loss import Watch, batch_loss

WEIGHTS = torch.tensor([0.5, 1.0, 3.0])


@dataclass(frozen=True)
class Told(Ranks):
    """One of two ranks, which is told what both add up to."""

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
    share, mean = batch_loss(logits, targets, weights, smoothing, Ranks())
    reference = nn.CrossEntropyLoss(weights, label_smoothing=smoothing)(logits, targets)
    torch.testing.assert_close(share, reference)
    torch.testing.assert_close(mean, reference)
    assert not mean.requires_grad


def test_the_mean_of_the_gradients_of_two_ranks_is_the_gradient_of_one():
    """With parts of 4 and of 3 images, and weights that are not alike."""
    logits, targets = batch()
    (whole,) = torch.autograd.grad(batch_loss(logits, targets, WEIGHTS, 0.1, Ranks())[0], logits)
    parts = [slice(0, None, 2), slice(1, None, 2)]
    sums = [
        nn.CrossEntropyLoss(WEIGHTS, reduction="sum", label_smoothing=0.1)(logits[p], targets[p])
        for p in parts
    ]
    both = torch.stack([sum(sums).detach(), WEIGHTS[targets].sum()])
    mean = torch.zeros_like(whole)
    for part in parts:
        ranks = Told(size=2, both=both)
        share, loss = batch_loss(logits[part], targets[part], WEIGHTS, 0.1, ranks)
        mean += torch.autograd.grad(share, logits)[0] / 2
        torch.testing.assert_close(loss, batch_loss(logits, targets, WEIGHTS, 0.1, Ranks())[1])
    torch.testing.assert_close(mean, whole)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_first_step_whose_loss_is_no_number_is_told(bad):
    watch = Watch(torch.device("cpu"))
    for step, loss in enumerate([1.0, 2.0, bad, 1.0, bad], start=11):
        watch.see(torch.tensor(loss), step)
    with pytest.raises(ValueError, match="step 13: the loss is no number any more; lower --lr"):
        watch.check()


def test_numbers_pass():
    watch = Watch(torch.device("cpu"))
    watch.see(torch.tensor(1e30), 1)
    watch.check()

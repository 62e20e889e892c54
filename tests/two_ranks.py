"""What a rank of tests/test_distributed.py does; torchrun starts it.

python3 -m torch.distributed.run --standalone --nproc-per-node 2 -m tests.two_ranks WHAT OUT ...
"""

import os
import sys
from pathlib import Path

import torch

import model.weights
import train
from tests.networks import TinyNext
from util.distributed import Ranks, ranks_of_run
from util.loss import batch_loss
from util.script import run

WEIGHTS = torch.tensor([0.5, 1.0, 3.0])


def global_batch() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """A network in eval mode, 7 images and their targets, the same in every process."""
    torch.manual_seed(0)
    model = TinyNext(3)
    for name, buffer in model.named_buffers():
        if "running_mean" in name:
            buffer.normal_()
    images, targets = torch.randn(7, 3, 32, 32), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    return model.eval(), images, targets


def gradients(ranks: Ranks) -> dict[str, torch.Tensor]:
    """Of this rank's part of the batch, after the ranks have taken their mean."""
    model, images, targets = global_batch()
    part = slice(ranks.rank, None, ranks.size)
    net = ranks.share(model, torch.device("cpu"))
    loss, mean = batch_loss(net(images[part]), targets[part], WEIGHTS, 0.1, ranks)
    loss.backward()
    return {"loss": mean, **{name: p.grad for name, p in model.named_parameters()}}


def gathered(ranks: Ranks) -> torch.Tensor:
    """7 rows of which each rank has its own, on every rank all of them."""
    rows = torch.arange(14.0).reshape(7, 2)
    return ranks.gather(rows[ranks.rank :: ranks.size], 7)


def fit(words: list[str], die_at: tuple[int, int] | None = None, marker: Path | None = None):
    """train.py with a small network; at a step, once, a rank dies without a word."""
    train.COVIDNext50 = model.weights.COVIDNext50 = TinyNext
    see = train.Watch.see

    def dying(watch, loss, step):
        if (int(os.environ["RANK"]), step) == die_at and not marker.exists():
            marker.touch()
            os._exit(9)
        see(watch, loss, step)

    if die_at:
        train.Watch.see = dying
    sys.argv = ["train.py", *words]
    args = train.arguments()
    run(lambda: train.main(args), "train.py")


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, out, *words = sys.argv[1:]
    if what == "parts":
        with ranks_of_run("cpu") as ranks:
            result = {"gradients": gradients(ranks), "gathered": gathered(ranks)}
            torch.save(result, f"{out}/{ranks.rank}.pt")
    elif what == "fit":
        fit(words)
    elif what == "die":
        fit(words, die_at=(1, 7), marker=Path(out, "died"))

"""What a rank of tests/scripts/test_distributed.py does, and a run of test_kill_train.py."""

import os
import signal
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch

import train
from tests.helpers.networks import TinyNext, use_network
from tests.helpers.training import draw_nothing
from util.distributed import Ranks, ranks_of_run
from util.script import run
from util.training.loss import batch_loss
from util.training.optimizer import make_optimizer
from util.training.schedule import plateau_schedule
from util.training.state import Training
from util.training.step import Descent

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
    net = ranks.data_parallel(model, images[:1])
    loss = batch_loss(net(images[part]), targets[part], WEIGHTS, 0.1, ranks)
    loss.to_backward.backward()
    return {"loss": loss.mean, **{name: p.grad for name, p in model.named_parameters()}}


def gathered(ranks: Ranks) -> torch.Tensor:
    """7 rows of which each rank has its own, on every rank all of them."""
    rows = torch.arange(14.0).reshape(7, 2)
    return ranks.gather(rows[ranks.rank :: ranks.size], 7)


def steps_in_one_go_and_in_two(ranks: Ranks, optimizer: str) -> list[dict[str, torch.Tensor]]:
    """The weights after four steps, and after two and, as a run that goes on, two more."""
    found = []
    for goes in ([4], [2, 2]):
        network, images, targets = global_batch()
        state = None
        part = slice(ranks.rank, None, ranks.size)
        for steps in goes:
            network = deepcopy(network)
            net = ranks.data_parallel(network, images[:1])
            descends = make_optimizer(network, optimizer, 0.01, 0.05)
            descent = Descent(descends, plateau_schedule(descends, 0.5, 1))
            if state:
                descent.load_state_dict(state)
            network.train()
            for _ in range(steps):
                loss = batch_loss(net(images[part]), targets[part], WEIGHTS, 0.1, ranks)
                descent.step(loss.to_backward)
            state = deepcopy(descent.state_dict())
        found.append(dict(network.named_parameters()))
    return found


def fit(words: list[str], happens: Callable[[int, int], None] = lambda rank, step: None) -> None:
    """train.py with a small network; something happens after each step of each rank."""
    use_network(pytest.MonkeyPatch())
    draw_nothing(pytest.MonkeyPatch())
    take_step = Training.step

    def stepping(training, loss):
        take_step(training, loss)
        happens(int(os.environ.get("RANK", 0)), training.progress.step)

    Training.step = stepping
    sys.argv = ["train.py", *words]
    args = train.arguments()
    run(lambda: train.main(args), "train.py")


def die_once(marker: Path) -> Callable[[int, int], None]:
    """Rank 1, in step 7, without a word."""

    def die(rank: int, step: int) -> None:
        if (rank, step) == (1, 7) and not marker.exists():
            marker.touch()
            os._exit(9)

    return die


def fail(rank: int, step: int) -> None:
    """Only on rank 1."""
    if (rank, step) == (1, 7):
        raise ValueError("no such luck")


def ask_to_stop(rank: int, step: int) -> None:
    """Only rank 1, twice: as by a launcher, and by torchrun that the launcher reached, too."""
    if (rank, step) == (1, 7):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)


def slowly(rank: int, step: int) -> None:
    """Long enough to be killed in a step."""
    time.sleep(0.02)


def main(words: list[str]) -> None:
    """words: what to do, a folder for what comes out, and flags of train.py."""
    torch.set_num_threads(1)
    what, out, *flags = words
    if what == "parts":
        with ranks_of_run("cpu") as ranks:
            result = {
                "gradients": gradients(ranks),
                "gathered": gathered(ranks),
                "any": [ranks.any(ranks.rank == k, torch.device("cpu")) for k in (0, 1, 99)],
                "goes": {
                    optimizer: steps_in_one_go_and_in_two(ranks, optimizer)
                    for optimizer in ("adamw", "muon")
                },
            }
            torch.save(result, f"{out}/{ranks.rank}.pt")
    elif what == "apart":  # each machine has a folder of that name, and only the first one a run
        fit([*flags, *(() if os.environ["RANK"] == "0" else ("--ckpts-dir", out))])
    else:
        happens = {"die": die_once(Path(out, "died")), "fail": fail, "stop": ask_to_stop}
        fit(flags, (happens | {"slowly": slowly, "fit": lambda rank, step: None})[what])

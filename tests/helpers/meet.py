"""What torchrun starts: ranks that meet, of which rank 1 dies once (argument: a file to note that)
and which meet again when they are started again."""

import os
import sys
from pathlib import Path

import torch

from util.distributed import ranks_of_run
from util.script import run


def meet() -> None:
    with ranks_of_run("cpu") as ranks:
        ranks.sum(torch.ones(1))
        died = Path(sys.argv[1])
        if ranks.rank == 1 and not died.exists():
            died.touch()
            os._exit(9)
        met = int(ranks.sum(torch.ones(1)))
        died.with_name(f"rank{ranks.rank}").write_text(f"met {met}")


if __name__ == "__main__":
    run(meet, "meet")

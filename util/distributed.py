"""One run on many devices and machines, as torchrun starts it; without torchrun a run of one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """Which of the processes of a run this one is: `rank` of `size`, `local_rank` on its machine.

    launch: torchrun's id of the run (--rdzv-id; --standalone draws one), "" where it has none.
    again: whether torchrun started the processes anew after a failure (--max-restarts).
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    launch: str = ""
    again: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the ranks, in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def any(self, mine: bool, device: torch.device) -> bool:
        """Whether it holds on one rank at least; all wait for each other. device: of the run."""
        return bool(self.sum(torch.tensor(int(mine), device=device))) if self.size > 1 else mine

    def gather(self, part: Tensor, total: int) -> Tensor:
        """(total, ...) of parts (n, ...): rank r has the rows r, r + size, r + 2 size, ..."""
        if self.size == 1:
            return part
        longest = -(-total // self.size)
        padded = part.new_zeros(longest, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:total]

    def share(self, model: nn.Module, sample: Tensor) -> nn.Module:
        """The model with gradients that are the mean over the ranks.

        sample: an input of the model, on its device. DistributedDataParallel packs the gradients
        anew after its first pass backward, and how they are packed says in which order three ranks
        and more add them up. So that a run that goes on adds up as one that never stopped, a pass
        is thrown away here.
        """
        if self.size == 1:
            return model
        devices = [sample.device] if sample.device.type == "cuda" else None
        net = DistributedDataParallel(model, devices)
        # BatchNorm statistics are each rank's own; copy_from_first makes them one when they count.
        net.broadcast_buffers = False  # as an argument the name is deprecated, or else unknown
        model.eval()  # no statistics are changed
        net(sample).sum().backward()
        model.zero_grad()
        return net

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrites the tensors with those of the first rank."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    @contextmanager
    def one_by_one(self) -> Iterator[None]:
        """The block runs on the first process, then on one of each other machine, then on the rest.

        So what is made there is made once, also where the machines share a folder.
        """
        turn = 0 if self.first else 1 if self.local_rank == 0 else 2
        for now in range(3):
            if now == turn:
                yield
            if self.size > 1:
                dist.barrier()


@contextmanager
def ranks_of_run(device: str) -> Iterator[Ranks]:
    """Joins the processes that torchrun started, for the block: NCCL on CUDA, gloo elsewhere.

    device: as of pick_device; with `auto` or `cuda` each process takes the GPU of its local rank.
    ConnectionError, one line, if another process is lost meanwhile; ValueError where torchrun would
    not bring the processes together again after a failure.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Ranks()
        return
    cuda = torch.cuda.is_available() and device.startswith(("auto", "cuda"))
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_WORLD_SIZE", "MASTER_PORT")
    rank, size, local, machines, port = (int(os.environ[name]) for name in names)
    counts = ("TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_MAX_RESTARTS")
    restarts, restarts_allowed = (int(os.environ[name]) for name in counts)
    if cuda:
        torch.cuda.set_device(local)
    of_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(os.environ["MASTER_ADDR"], port, size, rank == 0 and not of_agent)
    if of_agent:  # one store for all starts, in which torch 2.15 finds processes that have died
        if machines > 1 and restarts_allowed:
            raise ValueError(
                "--max-restarts: several machines find each other again only in a new store; give"
                " --rdzv-backend c10d and set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on each of them"
            )
        store = dist.PrefixStore(f"start {restarts}", store)
    dist.init_process_group("nccl" if cuda else "gloo", store=store, rank=rank, world_size=size)
    # A machine that only joins the others again, or another in its place, has counted no restart.
    again = torch.tensor(restarts, device="cuda" if cuda else "cpu")
    dist.all_reduce(again, dist.ReduceOp.MAX)
    launch = os.environ["TORCHELASTIC_RUN_ID"]
    launch = "" if launch == "none" else launch  # torchrun's word for any run without an id
    try:
        yield Ranks(rank, size, local, launch, again=bool(again))
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise ConnectionError(
                f"rank {rank}: another process failed; its own message says why"
            ) from error
        raise
    dist.destroy_process_group()  # after a failure it might wait for the others for ever

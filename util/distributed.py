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
    """Which process of a run this one is: `rank` of `size`, `local_rank` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and logs."""
        return self.rank == 0

    @property
    def alone(self) -> "Ranks":
        """This process as a run of its own."""
        return Ranks(local_rank=self.local_rank)

    @property
    def no_bar(self) -> bool | None:
        """tqdm's `disable`: of the processes of a terminal one shows how far it is."""
        return None if self.first and self.local_rank == 0 else True

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the ranks, in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def any(self, mine: bool, device: torch.device) -> bool:
        """Whether it holds on at least one rank; all wait for each other. device: of the run."""
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

    def collect(self, number: int, device: torch.device) -> list[int]:
        """The numbers of all ranks, in order. device: of the run."""
        return self.gather(torch.tensor([number], device=device), self.size).tolist()

    def data_parallel(self, model: nn.Module, sample: Tensor) -> nn.Module:
        """The model with gradients that are the mean over the ranks.

        sample: an input of the model, on its device. It passes once for nothing:
        DistributedDataParallel packs the gradients again after its first pass backward, and the
        packing decides in which order three or more ranks add them up, also in a run that goes on.
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
        """The block runs on the first process, then on one of each other machine, then on the rest:
        what it makes in a folder is made only once, also where machines share it."""
        turn = 0 if self.first else 1 if self.local_rank == 0 else 2
        for k in range(3):
            if k == turn:
                yield
            if self.size > 1:
                dist.barrier()


@contextmanager
def ranks_of_run(device: str) -> Iterator[Ranks]:
    """Joins the processes that torchrun started, for the block: NCCL on CUDA, gloo elsewhere.

    device: as in pick_device; with `auto` or `cuda` each process takes the GPU of its local rank.
    ConnectionError, one line, if another process is lost meanwhile; ValueError where torchrun could
    not bring the processes together again after a failure.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Ranks()
        return
    ranks = started_ranks(device)
    backend, store = "nccl" if _on_cuda(device) else "gloo", _store_of_start(ranks.rank, ranks.size)
    dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.size)
    try:
        yield ranks
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        text = f"rank {ranks.rank}: another process failed; its own message says why"
        raise ConnectionError(text) from error
    dist.destroy_process_group()  # after a failure it might wait for the others for ever


def started_ranks(device: str) -> Ranks:
    """The processes that torchrun started, which are not joined; each has its own GPU.

    device: as in `ranks_of_run`.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Ranks()
    rank, size, local = (int(os.environ[k]) for k in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if _on_cuda(device):
        torch.cuda.set_device(local)
    return Ranks(rank, size, local)


def _on_cuda(device: str) -> bool:
    return torch.cuda.is_available() and device.startswith(("auto", "cuda"))


def _store_of_start(rank: int, size: int) -> dist.Store:
    """Where the processes find each other, apart from those of an earlier start.

    torchrun --max-restarts starts them again in the same store, in which torch 2.15 would find the
    addresses of processes that have died.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    of_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(host, port, size, is_master=rank == 0 and not of_agent)
    if not of_agent:
        return store
    names = ("GROUP_WORLD_SIZE", "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_RESTART_COUNT")
    machines, restarts_allowed, restarts = (int(os.environ[name]) for name in names)
    if machines > 1 and restarts_allowed:  # each machine counts only its own restarts
        raise ValueError(
            "--max-restarts: several machines find each other again only in a new store; give"
            " --rdzv-backend c10d and set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 on each of them"
        )
    return dist.PrefixStore(f"start {restarts}", store)

"""Batches of a dataset, read ahead in other processes."""

import os
import signal
from collections.abc import Iterable, Iterator

import cv2
from torch import Tensor
from torch.utils.data import DataLoader

from data.dataset import RadiographDataset
from data.sampling import Draw
from util.workers import deaf

AHEAD = 4  # batches that each process has ready
GRACE = 60  # seconds after which a process that reads heeds SIGTERM


def make_loader(
    images: RadiographDataset, batches: Iterable[list[int] | list[Draw]], workers: int, pin: bool
) -> DataLoader:
    """Yields ((N, C, H, W) uint8, (N,) int64) for each of the `batches`, a Sampler or a list.

    workers: processes, which live as long as the loader; 0 reads in this one. What is yielded does
    not depend on them. pin: into memory from which a GPU copies while it computes.
    """
    return _Loader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pin,
        worker_init_fn=_settle_in,
        prefetch_factor=AHEAD if workers else None,
        persistent_workers=workers > 0,
    )


class _Loader(DataLoader):
    """Its processes, which may take seconds to start, do not hear Ctrl-C before they settle in."""

    started = False

    def __iter__(self) -> Iterator:
        if self.started or not self.num_workers:
            return super().__iter__()
        self.started = True
        with deaf():
            return super().__iter__()


def _as_it_is(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The dataset makes whole batches."""
    return batch


def _settle_in(worker: int) -> None:
    """Of a process that reads."""
    cv2.setNumThreads(0)  # the processes share the cores; their threads would wait in line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # also where this one did not start deaf
    # SIGTERM may reach all processes of a run. It ends its step, for which it needs this one, and
    # then this one. What ends here by a signal, torch would raise wherever the run then is.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE))

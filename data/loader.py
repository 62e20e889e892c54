"""Batches of a dataset, read ahead in other processes."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator

import cv2
from torch.utils.data import DataLoader

from data.dataset import RadiographDataset
from data.sampling import Draw
from util.workers import ctrl_c_ignored

AHEAD = 4  # batches that each process has ready
SIGTERM_GRACE = 60.0  # seconds that a process which reads goes on after SIGTERM


def make_loader(
    images: RadiographDataset, batches: Iterable[list[int] | list[Draw]], workers: int, pin: bool
) -> DataLoader:
    """Yields ((N, C, H, W) uint8, (N,) int64) for each of the `batches`.

    workers: processes, which live as long as the loader; 0 reads in this one. What is yielded does
    not depend on them. pin: into memory from which a GPU copies while it computes.
    """
    return _Loader(
        images,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=tuple,  # the dataset makes whole batches
        pin_memory=pin,
        worker_init_fn=_set_up_reader,
        prefetch_factor=AHEAD if workers else None,
        persistent_workers=workers > 0,
    )


class _Loader(DataLoader):
    """Its processes ignore Ctrl-C even while they start, which may take seconds."""

    started = False

    def __iter__(self) -> Iterator:
        if self.started or not self.num_workers:
            return super().__iter__()
        self.started = True
        with ctrl_c_ignored():
            return super().__iter__()


def _set_up_reader(worker: int) -> None:
    """In a process that reads, before its first batch."""
    cv2.setNumThreads(0)  # the processes share the cores; their threads would wait in line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows it is not inherited
    # SIGTERM may reach all processes of a run. The main one ends its step, for which it needs this
    # one, and then ends this one. If a signal ended it first, torch would raise in mid-step.
    signal.signal(signal.SIGTERM, _exit_later)


def _exit_later(*signal_and_frame) -> None:
    timer = threading.Timer(SIGTERM_GRACE, os._exit, (0,))
    timer.daemon = True
    timer.start()

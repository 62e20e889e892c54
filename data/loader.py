"""Batches of a dataset, read ahead in other processes."""

import atexit
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from multiprocessing import active_children, get_start_method

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from data.dataset import RadiographDataset
from data.sampling import Draw
from util.workers import ctrl_c_deferred

AHEAD = 4  # batches that each process has ready
SIGTERM_GRACE = 60.0  # seconds that a process which reads goes on after SIGTERM


def make_loader(
    images: RadiographDataset, batches: Iterable[list[int] | list[Draw]], workers: int, pin: bool
) -> DataLoader:
    """Yields ((N, C, H, W) uint8, (N,) int64) for each of the `batches`.

    workers: processes, which live as long as the loader; 0 reads in this one. What is yielded does
    not depend on them. pin: into memory from which a GPU copies while it computes. OSError if the
    processes cannot start; RuntimeError of torch's if one of them dies.
    """
    if workers:
        atexit.register(_kill_readers)
    return _Loader(
        images,
        pin,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_arrays,
        worker_init_fn=_set_up_reader,
        prefetch_factor=AHEAD if workers else None,
        persistent_workers=workers > 0,
    )


class _Loader(DataLoader):
    """A DataLoader whose processes send arrays through a pipe.

    Tensors would travel in shared memory: of that docker gives 64 MiB, and where it is full, torch
    waits for ever. Nor does it wait for ever for its thread that pins memory, which reads a pipe
    that a killed process may have left in the middle of a batch.
    """

    def __init__(self, images: RadiographDataset, pin: bool, **settings):
        super().__init__(images, **settings)
        self.pin = pin

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        try:
            with ctrl_c_deferred(get_start_method()):  # to who starts here, which may take seconds
                batches = super().__iter__()
        except OSError as error:  # no memory, no semaphore, too many processes
            text = f"n_threads: processes that read images cannot start ({error.strerror or error})"
            raise OSError(f"{text}; lower --n-threads, 0 needs none") from None
        for arrays in batches:
            tensors = (torch.from_numpy(array) for array in arrays)
            yield tuple(tensor.pin_memory() if self.pin else tensor for tensor in tensors)


def _arrays(batch: tuple[Tensor, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """The dataset makes whole batches."""
    pixels, targets = batch
    return pixels.numpy(), targets.numpy()


def _set_up_reader(worker: int) -> None:
    """In a process that reads, before its first batch."""
    cv2.setNumThreads(0)  # the processes share the cores; their threads would wait in line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows it is not blocked either
    # SIGTERM may reach all processes of a run. The main one ends its step, for which it needs this
    # one, and then ends this one. If a signal ended it first, torch would raise in mid-step.
    signal.signal(signal.SIGTERM, _exit_later)


def _kill_readers() -> None:
    """At the end of the main process, where Python would send them SIGTERM and wait."""
    if hasattr(signal, "SIGCHLD"):  # at which torch would raise that one of them has died
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in active_children():
        process.kill()


def _exit_later(*signal_and_frame) -> None:
    timer = threading.Timer(SIGTERM_GRACE, os._exit, (0,))
    timer.daemon = True
    timer.start()

"""Batches come from other processes as they are, without shared memory."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from data.dataset import RadiographDataset
from data.loader import make_loader
from data.transforms import PLAIN, InputFormat
from tests.helpers import systems
from tests.helpers.paths import ROOT

MAPPING = {"normal": 0, "pneumonia": 1, "COVID-19": 2}
BATCHES = [[k, k + 1, 2 * k] for k in range(20)]


def open_images(dataset):
    return RadiographDataset(dataset, "train", MAPPING, InputFormat((96, 64), **PLAIN))


def test_batches_are_the_datasets_whatever_reads_them_in_each_epoch(dataset):
    images = open_images(dataset)
    for workers in (0, 2):
        loader = make_loader(images, BATCHES, workers, pin=False)
        for _ in range(2):
            for batch, found in zip(BATCHES, loader, strict=True):
                for wanted, tensor in zip(images.__getitems__(batch), found, strict=True):
                    assert torch.equal(wanted, tensor)
                    assert wanted.dtype == tensor.dtype


def test_processes_that_cannot_start_are_one_line(dataset, monkeypatch):
    def fail():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fail)
    loader = make_loader(open_images(dataset), BATCHES, 1, pin=False)
    with pytest.raises(OSError, match=r"^n_threads: .*temporarily unavailable.*0 needs none$"):
        next(iter(loader))


SMALL = """
import sys; from tests.data.test_loader import BATCHES, open_images
from data.loader import make_loader
loader = make_loader(open_images(sys.argv[1]), BATCHES, 2, pin=False)
print(sum(int(pixels.sum()) for pixels, _ in loader))
"""
MOUNT = 'mount -t tmpfs -o size=64k shm /dev/shm && exec "$@"'


def may_mount():
    command = ["unshare", "-rm", "sh", "-c", MOUNT, "sh", "true"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True).returncode == 0


@systems.posix
def test_batches_need_no_room_in_dev_shm(dataset):
    if not may_mount():
        pytest.skip("needs unshare, with which a process gets a /dev/shm of its own")
    command = ["unshare", "-rm", "sh", "-c", MOUNT, "sh", sys.executable, "-c", SMALL, dataset]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=55)
    images = open_images(dataset)
    wanted = sum(int(images.__getitems__(batch)[0].numpy().sum()) for batch in BATCHES)
    assert (done.returncode, done.stdout) == (0, f"{wanted}\n"), done.stderr

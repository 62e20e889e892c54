"""Fixtures that several test files share."""

import os
import shutil
import sys
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from PIL import Image

import generate_dataset
from data.dataset_folder import staging, write_tables
from data.images.preparation import Preparation
from data.prepare import prepare
from data.record import Record
from data.sample import write_sample
from util.files import write_json

torch.set_num_threads(1)  # the test processes share the cores; their threads would wait in line


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Makes a folder once for all processes of the session; `make` is called with its path."""
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent

    def folder(name, make):
        path = home / name
        with FileLock(home / f"{name}.lock"):
            if not path.exists():
                make(home / f"{name}.making")
                (home / f"{name}.making").rename(path)
        return path

    return folder


@pytest.fixture(scope="session")
def sources(made_once):
    """Small raw sources, traps included: the folders of covid-chestxray and RSNA."""
    folder = made_once("sources", lambda path: write_sample(path, patients=60, size=64))
    return folder / "covid-chestxray-dataset", folder / "rsna-pneumonia-detection-challenge"


@pytest.fixture(scope="session")
def dataset(sources, made_once, tmp_path_factory):
    """The dataset folder that generate_dataset.py makes of them, 64 px; each process has its own,
    to which the training of a test may add decoded images."""
    flags = ("--covid-chestxray", sources[0], "--rsna", sources[1], "--size", 64, "--workers", 2)
    made = made_once("dataset", lambda path: run_script(generate_dataset, path, *flags))
    return shutil.copytree(made, tmp_path_factory.mktemp("dataset") / "set")


@pytest.fixture(scope="session")
def easy(dataset, tmp_path_factory):
    """The same with its classes painted as brightness."""
    easy = tmp_path_factory.mktemp("easy") / "set"
    shutil.copytree(dataset, easy, ignore=shutil.ignore_patterns("decoded"))
    shade = {"normal": 30, "pneumonia": 128, "COVID-19": 220}
    for split in ("train", "val"):
        table = pd.read_csv(easy / f"{split}_metadata.csv")
        for name, label in zip(table["filename"], table["label"], strict=True):
            pixels = np.random.default_rng(0).integers(-20, 20, (64, 64)) + shade[label]
            Image.fromarray(pixels.astype(np.uint8)).save(easy / split / name)
    return easy


def run_script(module, *words):
    """Parses the words as the script's command line and runs its main."""
    before, sys.argv = sys.argv, [module.__file__, *map(str, words)]
    try:
        module.main(module.arguments())
    finally:
        sys.argv = before


def content(folder):
    """Every file below the folder, with its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def small_files():
    """No file can grow beyond so many bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="no limit of a file's size on Windows")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, before[1]))
    yield 2**14
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def script(capsys):
    """`run_script` that returns what the script printed to standard output."""

    def run(module, *words):
        capsys.readouterr()
        run_script(module, *words)
        return capsys.readouterr().out

    return run


@pytest.fixture
def make_dataset(tmp_path):
    """`write_dataset` in the test's own folder."""
    return partial(write_dataset, tmp_path)


def write_dataset(place, *images, name="small", duplicates=()):
    """Makes a finished dataset folder, 16 px, of these images: (label, split), and the source and
    the patient if wanted; without them one patient each. duplicates: as in dataset.json."""
    (place / "raw").mkdir(exist_ok=True)
    records = []
    for row, (label, _, *more) in enumerate(images, start=1):
        source, patient = more or ("source", f"source:{row}")
        path = place / "raw" / f"{row}.png"
        scan = np.random.default_rng(row).integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(scan).save(path)
        records.append(Record(source, row, path, label, patient, label, path.name))
    with staging(place / name) as folder:
        (folder / "images").mkdir()
        kept = list(prepare(records, folder / "images", Preparation(16), 0))
        splits = [image[1] for image in images]
        fingerprint = write_tables(folder, folder / "images", kept, splits, [])
        (folder / "images").rmdir()
        about = {
            "arguments": asdict(Preparation(16)),
            "labels": sorted({image[0] for image in images}),
            "fingerprint": fingerprint,
            "duplicates": duplicates,
        }
        write_json(folder / "dataset.json", about)
    return place / name

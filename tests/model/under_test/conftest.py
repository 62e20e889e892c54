"""A dataset folder of a few films, for the models under test."""

import pytest

from data.dataset_folder import read_split
from tests.conftest import write_dataset

LABELS = ("normal", "COVID-19")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Six films of each label in train and in val, two in test, half of each from either source."""
    images = [
        (label, split, f"hospital-{k % 2}", f"hospital-{k % 2}:{split}-{label}-{k}")
        for split, number in (("train", 6), ("val", 6), ("test", 2))
        for label in LABELS
        for k in range(number)
    ]
    return write_dataset(tmp_path_factory.mktemp("under_test"), *images)


@pytest.fixture(scope="session")
def names(folder):
    """Split -> the file names of its films."""
    return {s: list(read_split(folder, s)["filename"]) for s in ("train", "val", "test")}

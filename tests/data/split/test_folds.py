"""Folds of the patients of train and val."""

from collections import Counter

import pandas as pd
import pytest

from data.dataset import WHOLE
from data.dataset_folder import read_split
from data.left_out import others
from data.split.folds import images_by_fold, parts_of_training

# 24 patients of two classes and two sources, two images each, and one in test.
IMAGES = [
    (label, "val" if k % 4 == 3 else "train", source, f"{source}:{label}{k}")
    for label in ("normal", "COVID-19")
    for source in ("near", "far")
    for k in range(6)
    for _ in range(2)
] + [("normal", "test", "near", "near:t")]
COPIES = [{"images": [{"patient_id": "near:normal0"}, {"patient_id": "far:normal1"}]}]


@pytest.fixture
def folder(make_dataset):
    return make_dataset(*IMAGES, duplicates=COPIES)


def parts(folder, fold, leave_out=None):
    """The rows of each part by its use."""
    table = pd.concat([read_split(folder, split) for split in ("train", "val")])
    found = parts_of_training(folder, leave_out, fold)
    assert {part.splits for part in found.values()} == {("train", "val")}
    return {use: table[part.keep(table)] for use, part in found.items()}


def test_each_patient_of_train_and_val_is_held_out_once_with_all_copies(folder):
    folds = [parts(folder, f"{k}/3") for k in (1, 2, 3)]
    held_out = Counter(name for fold in folds for name in fold["held_out"]["filename"])
    assert len(held_out) == len(IMAGES) - 1
    assert set(held_out.values()) == {1}
    for fold in folds:
        assert sum(map(len, fold.values())) == len(IMAGES) - 1
        people = [set(table["patient_id"]) for table in fold.values()]
        assert len(set.union(*people)) == sum(map(len, people))
        apart = [bool({"near:normal0", "far:normal1"} & of_use) for of_use in people]
        assert sum(apart) == 1  # two ids of one person


def test_each_fold_has_its_share_of_each_class_and_source(folder):
    table = images_by_fold(folder, 3)
    shares = table.groupby(["label", "source", "fold"]).size()
    assert len(shares) == 12
    assert shares.between(2, 6).all()  # 12 images of 6 patients
    assert table.groupby("fold").size().between(14, 18).all()


def test_a_tenth_of_the_other_patients_validates(folder):
    fold = parts(folder, "1/3")
    assert 2 <= len(fold["val"]) <= 4
    assert len(fold["train"]) > 7 * len(fold["val"])


def test_a_source_left_out_is_in_no_part_and_changes_not_who_is_held_out(folder):
    whole, near = parts(folder, "2/3"), parts(folder, "2/3", ["far"])
    of_near = whole["held_out"][whole["held_out"]["source"] == "near"]
    assert list(near["held_out"]["filename"]) == list(of_near["filename"])
    assert all(set(table["source"]) == {"near"} for table in near.values())


def test_without_folds_train_and_val_are_the_splits(folder):
    assert parts_of_training(folder) == WHOLE
    left = parts_of_training(folder, ["far"])
    table = read_split(folder, "val")
    assert left.keys() == {"train", "val"}
    assert left["val"].splits == ["val"]
    assert left["val"].keep(table).equals(others(["far"])(table))


def test_more_folds_than_patients_are_one_line(folder):
    with pytest.raises(ValueError, match="23 patients in train and val, which leave 7 of 30 folds"):
        images_by_fold(folder, 30)

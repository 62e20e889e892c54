import random
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.split import SPLITS, check_splits, split_patients

# A data set: the strata of the images of each patient.
STRATA = st.sampled_from([("normal", "a"), ("normal", "b"), ("pneumonia", "a"), ("COVID-19", "b")])
MIXED = st.lists(st.lists(STRATA, min_size=1, max_size=12), min_size=1, max_size=40)
PURE = st.lists(
    st.tuples(STRATA, st.integers(1, 12)).map(lambda pair: [pair[0]] * pair[1]),
    min_size=1,
    max_size=40,
)
SHARES = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(
    lambda percent: (1 - sum(percent) / 100, percent[0] / 100, percent[1] / 100)
)
SEEDS = st.integers(0, 2**32 - 1)


def images(people):
    """The patients and the strata of all images, as split_patients takes them."""
    pairs = [(f"p{k}", stratum) for k, person in enumerate(people) for stratum in person]
    return [patient for patient, _ in pairs], [stratum for _, stratum in pairs]


@given(MIXED, SHARES, SEEDS)
def test_no_patient_is_in_two_splits(people, shares, seed):
    patients, strata = images(people)
    splits = split_patients(patients, strata, shares, seed)
    assert len(splits) == len(patients)
    assert set(splits) <= set(SPLITS)
    homes = defaultdict(set)
    for patient, split in zip(patients, splits, strict=True):
        homes[patient].add(split)
    assert {len(home) for home in homes.values()} == {1}


@given(MIXED, SHARES, SEEDS, st.randoms())
def test_the_seed_alone_decides_and_not_the_order_of_the_images(people, shares, seed, shuffler):
    patients, strata = images(people)
    splits = split_patients(patients, strata, shares, seed)
    assert split_patients(patients, strata, shares, seed) == splits
    order = list(range(len(patients)))
    shuffler.shuffle(order)
    again = split_patients([patients[k] for k in order], [strata[k] for k in order], shares, seed)
    assert again == [splits[k] for k in order]


@given(PURE, SHARES, SEEDS)
@example([[("normal", "a")]] * 10, (0.8, 0.1, 0.1), 0)
@example([[("normal", "a")] * 12] + [[("normal", "a")]] * 30, (0.8, 0.1, 0.1), 0)
def test_shares_of_the_whole_and_of_each_stratum_are_met_within_two_patients(people, shares, seed):
    patients, strata = images(people)
    splits = split_patients(patients, strata, shares, seed)
    found = Counter(zip(strata, splits, strict=True))
    largest, total = Counter(), Counter(strata)
    for person in people:
        largest[person[0]] = max(largest[person[0]], len(person))
    for stratum in total:
        for split, share in zip(SPLITS, shares, strict=True):
            error = abs(found[stratum, split] - share * total[stratum])
            assert error <= 2 * largest[stratum] + 1e-9  # twice: the whole has a say, too
    for split, share in zip(SPLITS, shares, strict=True):
        error = abs(splits.count(split) - share * len(splits))
        assert error <= 2 * max(largest.values(), default=0) + 1e-9


@given(MIXED, SEEDS, st.sampled_from([(1, 0, 0), (0.9, 0, 0.1), (0.9, 0.1, 0)]))
def test_a_split_with_share_0_is_empty(people, seed, shares):
    splits = split_patients(*images(people), shares, seed)
    assert not set(splits) - {name for name, share in zip(SPLITS, shares, strict=True) if share}


def test_many_small_patients_meet_the_shares_exactly():
    people = [[label] for label in ("normal", "pneumonia") for _ in range(100)]
    patients, strata = images(people)
    splits = split_patients(patients, strata, (0.8, 0.1, 0.1), 1337)
    for label in ("normal", "pneumonia"):
        mine = [split for split, stratum in zip(splits, strata, strict=True) if stratum == label]
        assert Counter(mine) == {"train": 80, "val": 10, "test": 10}


@pytest.mark.parametrize("patients", [3, 4, 5])
def test_many_small_strata_meet_the_shares_together(patients):
    strata = [(label, source) for label in range(3) for source in range(8)] * patients
    splits = split_patients([f"p{k}" for k in range(len(strata))], strata, (0.8, 0.1, 0.1), 0)
    for split, share in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
        assert splits.count(split) == pytest.approx(share * len(strata), abs=3)


def test_patient_with_two_findings_stays_on_one_side():
    people = [["normal", "COVID-19"]] * 20 + [["normal"]] * 20 + [["COVID-19"]] * 20
    patients, strata = images(people)
    splits = split_patients(patients, strata, (0.6, 0.2, 0.2), 0)
    homes = {patient: set() for patient in patients}
    for patient, split in zip(patients, splits, strict=True):
        homes[patient].add(split)
    assert all(len(home) == 1 for home in homes.values())
    # Each of the splits has some of them, and still its share of both findings.
    assert {split for k in range(20) for split in homes[f"p{k}"]} == set(SPLITS)
    for label in ("normal", "COVID-19"):
        mine = [split for split, stratum in zip(splits, strata, strict=True) if stratum == label]
        assert Counter(mine) == {"train": 24, "val": 8, "test": 8}


def test_a_patient_larger_than_a_small_split_goes_to_train():
    people = [["normal"] * 30] + [["normal"]] * 70
    for seed in range(20):
        splits = split_patients(*images(people), (0.8, 0.1, 0.1), seed)
        assert splits[0] == "train"
        assert Counter(splits) == {"train": 80, "val": 10, "test": 10}


def test_another_seed_gives_another_split():
    people = [["normal"]] * 50
    one, two = (split_patients(*images(people), (0.8, 0.1, 0.1), seed) for seed in (0, 1))
    assert one != two
    assert Counter(one) == Counter(two)


def test_a_label_that_a_split_lacks_is_a_warning_unless_the_split_has_no_share(caplog):
    labels, splits = ["normal", "normal", "COVID-19"], ["train", "val", "train"]
    check_splits(labels, splits, (0.8, 0.2, 0), "too few patients")
    assert [entry.getMessage() for entry in caplog.records] == [
        "COVID-19: too few patients, none is in val"
    ]


def test_a_dataset_without_a_training_image_is_refused():
    with pytest.raises(ValueError, match="no image is left to train on"):
        check_splits(["normal"], ["test"], (0.8, 0.1, 0.1), "too few patients")


def test_no_image_gives_no_split():
    assert split_patients([], [], (0.8, 0.1, 0.1), 0) == []


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="argument"):
        split_patients(["a", "b"], ["normal"], (0.8, 0.1, 0.1), 0)


def test_20_000_images_take_less_than_ten_seconds():
    rng = np.random.default_rng(0)
    patients = [f"p{k}" for k in rng.integers(0, 15_000, 20_000)]
    strata = random.Random(0).choices([(label, "a") for label in "xyz"], k=20_000)
    began = time.process_time()  # of this process, as others share the machine
    split_patients(patients, strata, (0.8, 0.1, 0.1), 0)
    assert time.process_time() - began < 10

"""What is known of the images of an evaluation."""

import json

import pytest

from data.subject import STARTED_ELSEWHERE, dataset_split


@pytest.mark.parametrize(
    ("trainings", "before"),
    [
        (None, None),
        ([("same", {"near": 3})], None),
        ([("x", {"far": 3, "near": 2})], "far, near"),
        ([("same", {"near": 3}), ("x", None)], "unknown sources"),
    ],
)
def test_numbers_of_a_network_that_learned_from_other_data_before_are_warned_of(
    make_dataset, trainings, before
):
    folder = make_dataset(("A", "test"), ("B", "test"))
    own = json.loads((folder / "dataset.json").read_text())["fingerprint"]
    started_from = trainings and [
        {"fingerprint": own if name == "same" else name, "sources": sources}
        for name, sources in trainings
    ]
    checkpoint = {"mapping": {"A": 0, "B": 1}, "fingerprint": own, "config": {}}
    wanted = [STARTED_ELSEWHERE.format(before)] if before else []
    first = {"fingerprint": own, "sources": {"near": 1}, "taught_by": started_from}
    for past in (
        {"started_from": started_from},
        {"taught_by": started_from},
        {"started_from": [first]},  # its weights' teachers
    ):
        found = dataset_split(folder, "test", checkpoint | past, None, iter).warnings
        assert found == wanted, past

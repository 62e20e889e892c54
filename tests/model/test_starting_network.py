"""What a run starts from must not have seen the patients that judge it."""

import pytest

from model.starting_network import check_unseen, start_network, teachers_trainings
from tests.helpers.networks import TinyNext, input_form, save_network

SAME, OTHER = "the dataset of the run", "another"


def trained(fingerprint, fold=None, **sources):
    return {"fingerprint": fingerprint, "sources": sources or None, "fold": fold}


@pytest.mark.parametrize(
    ("trainings", "fold", "warned"),
    [
        ([], None, ""),
        ([trained(SAME, near=3)], None, ""),
        ([trained(SAME, "1/5", near=3)], "1/5", ""),
        ([trained(OTHER, far=3, near=4)], None, "(far, near)"),
        ([trained(OTHER, "2/5", far=3)], "1/5", "(far)"),
        ([trained(None)], None, "(unknown sources)"),
        ([trained(SAME, near=3), trained(OTHER, far=3)], None, "(far)"),
        ([trained(SAME, near=3) | {"taught_by": [trained(OTHER, far=3)]}], None, "(far)"),
    ],
)
def test_weights_that_may_know_patients_of_test_are_warned_of(trainings, fold, warned, caplog):
    check_unseen("a.pth", trainings, SAME, fold)
    assert f"a.pth: learned from other data {warned}." in caplog.text if warned else not caplog.text


def test_the_folder_of_a_run_with_folds_is_not_one_network(tmp_path):
    for k in (1, 2):
        (tmp_path / f"fold-{k}").mkdir()
        (tmp_path / f"fold-{k}/best.pth").touch()
    start = ({"A": 0, "B": 1}, str(tmp_path), None, (32, 32), None)
    with pytest.raises(ValueError, match=r"found 2 networks of folds; expected one\. .* --distil"):
        start_network(*start)


@pytest.mark.parametrize(
    ("weights", "started_from", "known"),
    [
        (None, None, []),
        ("a.pth", [trained(OTHER, far=3)], [trained(OTHER, far=3) | {"config": {}}]),
        ("a.pth", None, None),  # of a version that kept none
    ],
)
def test_what_teachers_learned_from_before_is_known_or_not(tmp_path, weights, started_from, known):
    for k in (1, 2):
        (tmp_path / f"fold-{k}").mkdir()
        facts = {"config": {"weights": weights, "fold": f"{k}/2"}, "started_from": started_from}
        save_network(tmp_path / f"fold-{k}/best.pth", TinyNext(3), input_form((32, 32)), **facts)
    assert teachers_trainings(str(tmp_path), SAME) == known


@pytest.mark.parametrize(
    ("before", "fold", "message"),
    [
        (
            None,
            "1/5",
            "a.pth: its training, of no fold, .*; expected one of fold 1/5. Start",
        ),
        ("2/5", "1/5", "a.pth: its training, of fold 2/5, saw patients"),
        ("1/4", "1/5", "a.pth: its training, of fold 1/4, saw patients"),
        (
            "1/5",
            None,
            "a.pth: its training, of fold 1/5, .*; expected one of no fold. Start",
        ),
    ],
)
def test_weights_that_know_patients_held_out_or_of_validation_are_refused(before, fold, message):
    for trainings in (
        [trained(OTHER), trained(SAME, before)],
        [trained(OTHER) | {"taught_by": [trained(SAME, before)]}],
    ):
        with pytest.raises(ValueError, match=message):
            check_unseen("a.pth", trainings, SAME, fold)

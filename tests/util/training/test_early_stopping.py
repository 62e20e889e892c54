"""When a run stops before its last epoch."""

import pytest

from util.training.early_stopping import age_of_best, collapsed, stalled


def history(scores, classes_named=3):
    return [{"val_macro_f1": score, "val_classes_named": classes_named} for score in scores]


@pytest.mark.parametrize(
    ("scores", "age"), [([0.5], 0), ([0.5, 0.5], 1), ([0.5, 0.4, 0.6], 0), ([0.6, 0.4, 0.5], 2)]
)
def test_the_best_is_the_first_of_the_highest(scores, age):
    assert age_of_best(history(scores)) == age


def test_a_run_stalls_when_its_best_is_patience_epochs_old():
    rows = history([0.4, 0.6, 0.5, 0.5])
    assert [stalled(rows, patience) for patience in (1, 2, 3, None)] == [True, True, False, False]
    assert not stalled([], 1)


def test_a_run_collapses_when_patience_epochs_gave_all_images_one_class():
    rows = history([0.5]) + history([0.2, 0.2], classes_named=1)
    assert [collapsed(rows, patience) for patience in (1, 2, 3, None)] == [True, True, False, False]
    assert not collapsed(rows[:2], 2)
    assert not collapsed([], 1)

"""When a run stops before its last epoch."""

import torch

from util.training.early_stopping import collapsed, stalled
from util.training.progress import Progress


def run_of(scores, classes_named=3):
    progress = Progress.start(torch.device("cpu"))
    progress.history = [
        {"val_macro_f1": score, "val_classes_named": classes_named} for score in scores
    ]
    return progress


def test_a_run_stalls_when_its_best_is_patience_epochs_old():
    run = run_of([0.4, 0.6, 0.5, 0.5])
    assert [stalled(run, patience) for patience in (1, 2, 3, None)] == [True, True, False, False]
    assert not stalled(run_of([]), 1)


def test_a_run_collapses_when_patience_epochs_gave_all_images_one_class():
    run = run_of([0.2, 0.2], classes_named=1)
    run.history.insert(0, {"val_macro_f1": 0.5, "val_classes_named": 3})
    assert [collapsed(run, patience) for patience in (1, 2, 3, None)] == [True, True, False, False]
    del run.history[-1]
    assert not collapsed(run, 2)
    assert not collapsed(run_of([]), 1)

import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.helpers.figures import assert_has_ink, kept_figures, texts
from tests.helpers.paths import ROOT
from util.plots import training as plots
from util.plots.training import plot_confusion_matrix, plot_history

CLASSES = ["normal", "pneumonia", "COVID-19"]


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    return kept_figures(monkeypatch, plots)


def history(epochs: int) -> list[dict]:
    return [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "val_loss": 1.2 / epoch,
            "val_accuracy": 0.5 + 0.01 * epoch,
            "val_macro_f1": 0.6 - 0.02 * abs(epoch - 4),
            "lr": 1e-4 * 0.9**epoch,
            "images_per_second": 100.0,
        }
        for epoch in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 2, 9, 60])
def test_curves_are_drawn_for_any_number_of_epochs(tmp_path, epochs):
    assert_has_ink(plot_history(history(epochs), tmp_path / "curves.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_curves_mark_the_epoch_of_the_best_macro_f1(tmp_path, drawn):
    plot_history(history(9), tmp_path / "curves.png")
    assert "best macro F1 0.600, epoch 4" in texts(drawn[0])


def test_lines_are_named_at_their_ends(tmp_path, drawn):
    plot_history(history(9), tmp_path / "curves.png")
    assert {"train", "validation", "accuracy", "macro F1"} <= set(texts(drawn[0]))


@pytest.mark.parametrize("gap", [None, math.nan])
def test_a_gap_in_the_history_is_no_error(tmp_path, gap):
    rows = history(3)
    rows[2] |= {"val_loss": gap, "val_macro_f1": gap}
    assert_has_ink(plot_history(rows, tmp_path / "curves.png"))
    for row in rows:
        row["val_macro_f1"] = gap
    assert_has_ink(plot_history(rows, tmp_path / "curves.png"))


def test_a_history_without_epochs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="history: no epochs"):
        plot_history([], tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


def test_the_confusion_matrix_shows_counts_and_shares_of_the_row(tmp_path, drawn):
    path = plot_confusion_matrix(np.diag([3, 4, 5]) + 1, CLASSES, tmp_path / "matrix.png")
    assert_has_ink(path)
    found = texts(drawn[0])
    assert {"67%\n4", "17%\n1", "71%\n5", "75%\n6", *CLASSES} <= set(found)


def test_the_row_of_a_class_without_images_stays_empty(tmp_path, drawn):
    matrix = np.array([[5, 0, 1], [1, 3, 0], [0, 0, 0]])
    assert_has_ink(plot_confusion_matrix(matrix, CLASSES, tmp_path / "matrix.png"))
    assert sum("%" in text for text in texts(drawn[0])) == 6


def test_many_classes_with_hostile_names_are_drawn(tmp_path):
    names = [f"$\\frac$ {{ a rather long name of a finding, number {k}" for k in range(15)]
    matrix = np.random.default_rng(0).integers(0, 9, (15, 15))
    assert_has_ink(plot_confusion_matrix(matrix, names, tmp_path / "matrix.png"))


def test_plots_leave_pyplot_and_its_global_state_alone():
    code = "import sys, util.plots.evaluation; print('matplotlib.pyplot' in sys.modules)"
    root = ROOT
    found = subprocess.check_output([sys.executable, "-c", code], cwd=root, text=True)
    assert found.strip() == "False"

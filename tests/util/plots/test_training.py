import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.helpers.figures import assert_has_ink, kept_figures, texts
from tests.helpers.paths import ROOT
from util.plots import training as plots
from util.plots.training import plot_history


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    return kept_figures(monkeypatch, plots)


def history(epochs: int) -> list[dict]:
    return [
        {
            "epoch": epoch, "train_loss": 1 / epoch, "val_loss": 1.2 / epoch,
            "val_accuracy": 0.5 + 0.01 * epoch, "val_macro_f1": 0.6 - 0.02 * abs(epoch - 4),
            "val_macro_auroc": 0.9, "val_within_source_auroc": 0.7 - 0.01 * abs(epoch - 2),
            "lr": 1e-4 * 0.9**epoch, "images_per_second": 100.0,
        }
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip


@pytest.mark.parametrize("epochs", [1, 2, 9, 60])
def test_curves_are_drawn_for_any_number_of_epochs(tmp_path, epochs):
    assert_has_ink(plot_history(history(epochs), tmp_path / "curves.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


@pytest.mark.parametrize(
    ("choose", "best"),
    [
        ("macro_f1", "best macro F1 0.600, epoch 4"),
        ("within_source_auroc", "best within-source AUROC 0.700, epoch 2"),
        ("loss", "best loss 0.133, epoch 9"),
    ],
)
def test_curves_mark_the_best_epoch_and_lines_are_named(tmp_path, drawn, choose, best):
    plot_history(history(9), tmp_path / "curves.png", choose)
    names = {"train", "validation", "accuracy", "macro F1", "macro AUROC", "within-source AUROC"}
    assert {best, *names} <= set(texts(drawn[0]))


def test_epochs_from_before_the_within_source_auroc_are_a_gap(tmp_path, drawn):
    rows = history(4)
    for row in rows[:2]:
        del row["val_within_source_auroc"]
    plot_history(rows, tmp_path / "curves.png")
    (line,) = [line for line in drawn[0].axes[1].lines if line.get_label() == "within-source AUROC"]
    assert list(np.isnan(line.get_ydata())) == [True, True, False, False]


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


def test_plots_leave_pyplot_and_its_global_state_alone():
    code = "import sys, util.plots.evaluation; print('matplotlib.pyplot' in sys.modules)"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert found.strip() == "False"

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.helpers.figures import assert_has_ink, kept_figures, texts
from tests.helpers.networks import CLASSES
from util.plots import confusion_matrix
from util.plots.confusion_matrix import plot_confusion_matrix


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    return kept_figures(monkeypatch, confusion_matrix)


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

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.helpers.example_metrics import NOTHING, example
from tests.helpers.figures import assert_has_ink, kept_figures, texts
from tests.helpers.networks import CLASSES
from util.metrics.selective import risk_coverage
from util.plots import evaluation as curves
from util.plots.evaluation import (
    draw_all,
    plot_precision_recall,
    plot_reliability,
    plot_risk_coverage,
    plot_roc,
    plot_subgroups,
)
from util.report.sections import FIGURES


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    return kept_figures(monkeypatch, curves)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_roc_curves_name_each_class_with_its_area_the_best_first(tmp_path, drawn):
    targets = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.eye(3)[[0, 1, 1, 1, 2, 2]]
    assert_has_ink(plot_roc(probabilities, targets, CLASSES, tmp_path / "roc.png"))
    assert legend(drawn[0]) == ["1.000  COVID-19", "0.875  pneumonia", "0.750  normal"]


def test_a_class_without_images_has_no_roc_curve(tmp_path, drawn):
    targets = np.array([0, 0, 1, 1])
    probabilities = np.eye(3)[[0, 1, 1, 2]]
    assert_has_ink(plot_roc(probabilities, targets, CLASSES, tmp_path / "roc.png"))
    lines = {line.get_label().split()[-1]: line for line in drawn[0].axes[0].get_lines()[1:]}
    assert len(lines["COVID-19"].get_xdata()) == 0
    assert len(lines["normal"].get_xdata()) > 0


def test_precision_recall_names_each_class_with_its_average_precision(tmp_path, drawn):
    targets = np.array([0, 0, 1, 1, 2, 2])
    probabilities = np.eye(3)[[0, 1, 1, 1, 2, 2]]
    assert_has_ink(plot_precision_recall(probabilities, targets, CLASSES, tmp_path / "pr.png"))
    # pneumonia: 3 named, 2 of them right; normal: half is found, the rest ties with 4 others.
    assert legend(drawn[0]) == ["1.000  COVID-19", "0.667  normal", "0.667  pneumonia"]


def test_the_area_under_the_drawn_steps_is_the_average_precision(tmp_path, drawn):
    generator = np.random.default_rng(0)
    targets = generator.integers(3, size=80)
    probabilities = generator.dirichlet([1, 1, 1], 80) + 0.4 * np.eye(3)[targets]
    plot_precision_recall(probabilities, targets, CLASSES, tmp_path / "pr.png")
    lines = [line for line in drawn[0].axes[0].get_lines() if "  " in line.get_label()]
    assert len(lines) == 3
    for line in lines:
        recall, precision = line.get_data()
        assert line.get_drawstyle() == "steps-pre"  # a step has the precision of its right end
        area = np.sum(np.diff(recall) * precision[1:])
        assert line.get_label().split()[0] == f"{area:.3f}"


def test_a_thin_line_is_the_share_of_the_class(tmp_path, drawn):
    targets = np.array([0, 0, 0, 1, 1, 2])
    plot_precision_recall(np.eye(3)[targets], targets, CLASSES, tmp_path / "pr.png")
    flat = [
        line.get_ydata()[0] for line in drawn[0].axes[0].get_lines() if len(line.get_xdata()) == 2
    ]
    assert sorted(flat) == pytest.approx([1 / 6, 2 / 6, 3 / 6])


@pytest.mark.parametrize("plot", [plot_roc, plot_precision_recall])
def test_many_classes_with_hostile_names_are_drawn(tmp_path, plot):
    names = [f"$\\frac$ {{ a rather long name of a finding, number {k}" for k in range(15)]
    targets = np.arange(300) % 15
    probabilities = np.random.default_rng(0).random((300, 15))
    assert_has_ink(plot(probabilities, targets, names, tmp_path / "curves.png"))


def test_a_bin_stands_at_its_confidence_and_accuracy_over_its_images(tmp_path, drawn):
    found = example()["calibration"]
    assert_has_ink(plot_reliability(found, tmp_path / "reliability.png"))
    upper, lower = drawn[0].axes
    dots = upper.get_lines()[1]
    assert list(dots.get_xdata()) == [row["confidence"] for row in found["bins"]]
    assert list(dots.get_ydata()) == [row["accuracy"] for row in found["bins"]]
    assert [bar.get_height() for bar in lower.patches] == [row["images"] for row in found["bins"]]
    error = found["expected_calibration_error"]["value"]
    assert f"expected calibration error {error:.3f}" in texts(drawn[0])


def test_the_curve_of_risk_and_coverage_has_the_stated_area_and_ends_at_the_error(tmp_path, drawn):
    generator = np.random.default_rng(0)
    targets = generator.integers(3, size=80)
    probabilities = generator.dirichlet([1, 1, 1], 80) + 0.4 * np.eye(3)[targets]
    area = risk_coverage(probabilities, targets, np.arange(80).astype(str), CLASSES)["area"]
    assert_has_ink(plot_risk_coverage(probabilities, targets, area, tmp_path / "risk.png"))
    guess, line = drawn[0].axes[0].get_lines()
    share, error = line.get_data()
    assert np.diff(share, prepend=0) @ error == pytest.approx(area["value"])
    assert error[-1] == guess.get_ydata()[0] == np.mean(probabilities.argmax(1) != targets)
    assert f"area {area['value']:.3f}" in texts(drawn[0])


def test_an_undefined_calibration_error_is_called_undefined(tmp_path, drawn):
    found = {"expected_calibration_error": NOTHING, "bins": []}
    plot_reliability(found, tmp_path / "reliability.png")
    assert "expected calibration error undefined" in texts(drawn[0])


def test_every_subgroup_has_a_row_and_a_dot_with_its_interval(tmp_path, drawn):
    metrics = example()
    path = plot_subgroups(metrics["subgroups"], metrics["accuracy"], tmp_path / "subgroups.png")
    assert_has_ink(path)
    axes = drawn[0].axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    groups = [(n, g) for groups in metrics["subgroups"].values() for n, g in groups.items()]
    assert rows == [f"{name}  {group['images']} ({group['patients']})" for name, group in groups]
    dots = {
        line.get_ydata()[0]: line.get_xdata()[0]
        for line in axes.get_lines()
        if line.get_marker() == "o"
    }
    wanted = [group["accuracy"]["value"] for _, group in groups]
    assert [dots.get(place) for place in axes.get_yticks()] == wanted  # one has none
    assert {"Source", "View", "Sex", "Age"} <= set(texts(drawn[0]))


def test_subgroups_with_hostile_names_and_none_at_all_are_drawn(tmp_path):
    nothing = {"images": 1, "patients": 1, "accuracy": NOTHING}
    groups = {"$\\frac$": {f"$\\frac$ {{{k}": nothing for k in range(5)}}
    assert_has_ink(plot_subgroups(groups, NOTHING, tmp_path / "subgroups.png"))
    plot_subgroups({}, example()["accuracy"], tmp_path / "subgroups.png")


def test_all_plots_have_the_names_that_the_report_knows(tmp_path):
    targets = np.repeat([0, 1, 2], 20)
    found = draw_all(example(), np.eye(3)[targets], targets, tmp_path)
    assert tuple(found) == FIGURES
    for name, path in found.items():
        assert path == tmp_path / f"{name}.png"
        assert_has_ink(path)

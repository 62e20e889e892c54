"""What an evaluation prints."""

from tests.helpers.example_metrics import NOTHING, example
from util.report.terminal import summary


def test_the_within_source_auroc_comes_first_and_what_no_source_has_is_said():
    metrics = example()
    comparisons = metrics["within_source"]["comparisons"]
    comparisons["normal against pneumonia"] |= {"auroc": dict(NOTHING), "sources": []}
    comparisons["pneumonia against the rest"] |= {"images": 1000, "pairs": 1, "sources": ["b", "a"]}
    lines = summary(metrics).splitlines()
    assert lines[0] == "102 images of 77 patients, 95 % intervals"
    assert lines[1].startswith("within source auroc   ")
    value, low, high = metrics["within_source"]["macro_auroc"].values()
    assert lines[1].endswith(f" {value:.3f}  ({low:.3f} - {high:.3f})")
    named = dict(zip(comparisons, lines[2:8], strict=True))
    assert all(line.startswith(f"{name}, within") for name, line in named.items())
    assert named["normal against pneumonia"].split("  ")[-1] == "no source has both"
    assert named["pneumonia against the rest"].endswith(")  1,000 images, 1 pair: b, a")
    assert lines[8].startswith("accuracy")


def test_prediction_sets_are_printed_where_they_were_asked_for():
    metrics = example()
    covered = metrics["prediction_sets"]["classes"]["normal"]["covered"]["value"]
    assert f"normal: in its prediction set at 0.9{covered:14.3f}  (" in summary(metrics)
    metrics["prediction_sets"] = None
    assert "prediction set" not in summary(metrics)
    area = metrics["risk_coverage"]["area"]["value"]
    assert f"area under risk and coverage{area:22.3f}  (" in summary(metrics)


def test_the_error_where_some_are_left_undecided_is_also_that_of_a_stated_population():
    metrics = example()
    heading = "in a population of normal 0.9, pneumonia 0.08, COVID-19 0.02:\n"
    lines = summary(metrics).split(heading)[1].splitlines()
    assert lines[0].startswith("normal: recall ")
    there = metrics["prevalence"]["risk_coverage"]
    errors = [there["area"], *(point["error"] for point in there["points"])]
    printed = [line.split("  (")[0].split()[-1] for line in lines[6:12]]
    assert printed == [f"{error['value']:.3f}" for error in errors]
    metrics["prevalence"] = None
    assert "in a population" not in summary(metrics)

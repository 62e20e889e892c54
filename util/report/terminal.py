"""An evaluation in a terminal: one line for each number, with its 95 % interval."""

from collections.abc import Mapping
from itertools import starmap

from util.metrics.intervals import Metric
from util.report.thresholds_and_sets import at_thresholds, covered
from util.words import counted

OVERALL = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "macro_auroc")
BY_CLASS = ("recall", "specificity", "precision", "auroc")
WIDTH = 44


def line(name: str, metric: Metric) -> str:
    name = name.replace("_", " ")
    if metric["value"] is None:
        return f"{name:<{WIDTH}} undefined"
    return f"{name:<{WIDTH}} {metric['value']:.3f}  ({metric['low']:.3f} - {metric['high']:.3f})"


def sample_size(images: int, patients: int) -> str:
    return f"{counted(images, 'image')} of {counted(patients, 'patient')}, 95 % intervals"


def within_source(found: Mapping) -> list[str]:
    """found: of the function of that name in util.metrics."""
    lines = [line("within_source_auroc", found["macro_auroc"])]
    for name, comparison in found["comparisons"].items():
        sources = "no source has both"
        if comparison["sources"]:
            images, pairs = (counted(comparison[key], key[:-1]) for key in ("images", "pairs"))
            sources = f"{images}, {pairs}: {', '.join(comparison['sources'])}"
        lines.append(f"{line(f'{name}, within', comparison['auroc'])}  {sources}")
    return lines


def summary(metrics: Mapping) -> str:
    """What metrics.json says first: the model, what a cheat would score, the probes, the doubts."""
    lines = [sample_size(metrics["images"], metrics["patients"])]
    lines += within_source(metrics["within_source"])
    lines += [line(name, metrics[name]) for name in OVERALL]
    for label, scores in metrics["per_class"].items():
        lines += [line(f"{label}: {name}", scores[name]) for name in BY_CLASS]
    for name, scores in {**metrics["cheats"], **metrics["probes"]}.items():
        lines += [line(f"{name}: {key}", scores[key]) for key in ("accuracy", "macro_f1")]
    if known := metrics["source_in_pictures"]:
        lines.append(line("source named by picture statistics", known["accuracy"]))
    lines.append(
        line("expected calibration error", metrics["calibration"]["expected_calibration_error"])
    )
    lines += starmap(line, at_thresholds(metrics))
    if sets := metrics["prediction_sets"]:
        lines += starmap(line, covered(sets))
        lines.append(line("classes in a set", sets["size"]))
        lines += [line(f"sets that are {name}", sets[name]) for name in ("empty", "single", "full")]
        lines.append(line("error where --abstain decides", sets["error_of_decided"]))
    lines += _error_by_share(metrics["risk_coverage"])
    if there := metrics["prevalence"]:
        shares = ", ".join(f"{label} {share:g}" for label, share in there["stated"].items())
        lines.append(f"in a population of {shares}:")
        for name in ("recall", "precision"):
            lines += [line(f"{label}: {name}", value) for label, value in there[name].items()]
        lines += _error_by_share(there["risk_coverage"])
    said = [metrics["headline"]["sentence"], *metrics["verdicts"], *metrics["warnings"]]
    return "\n".join([*lines, "", *said])


def _error_by_share(found: Mapping) -> list[str]:
    """found: of util.metrics.selective.risk_coverage."""
    points = [
        line(f"error with {point['decided']:.2f} decided", point["error"])
        for point in found["points"]
    ]
    return [line("area under risk and coverage", found["area"]), *points]


def comparison_summary(comparison: Mapping) -> str:
    """What comparison.json says: each metric of both models, their difference, the verdict."""
    lines = []
    for name, difference in comparison["difference"].items():
        lines += [line(f"{letter}: {name}", comparison[letter][name]) for letter in "AB"]
        lines.append(line(f"{name}, B less A", difference))
    return "\n".join([*lines, comparison["verdict"]])

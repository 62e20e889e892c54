"""pretrained/card.json: the card of the project's network, from the files of its making."""

from collections.abc import Iterable, Mapping

from util.metrics.intervals import Metric
from util.report.card import own_card, section
from util.report.facts import count_table
from util.report.parts import interval, text
from util.report.sections import MACRO, PER_CLASS, SETS
from util.report.thresholds_and_sets import at_thresholds, covered
from util.words import counted

UNKNOWN = "Unknown is what the dataset folder does not tell; the source's own table may."
MEASURED = ("Measured", "Value", "95 % interval")


def released_card(
    name: str,
    checkpoint: Mapping,
    about: Mapping,
    origins: Mapping,
    evaluations: Iterable[Mapping],
) -> list[dict]:
    """The sections of the card.

    name: of the file, such as best-int8.onnx@1a2b3c4d. checkpoint: of its `Predictor`. about:
    dataset.json of its training. origins: {"head", "rows"} of `data.audit.counts.origins`.
    evaluations: what metrics.json of each holds; of another network than `name` it says so.
    """
    use, network, limits = own_card(checkpoint, about)
    by_class = count_table(about)
    return [
        use,
        network,
        section("Films by class and source", (), by_class["head"], by_class["rows"]),
        section("Films by source, hospital, country and licence", (UNKNOWN,), **origins),
        *(_measured(metrics, name) for metrics in evaluations),
        limits,
    ]


def _measured(metrics: Mapping, name: str) -> dict:
    """One evaluation: on what, with which command, its numbers and verdicts."""
    record = metrics["record"]
    images, patients = counted(metrics["images"], "image"), counted(metrics["patients"], "patient")
    sentences = [f"{images} of {patients}. {record['Command']}, at {record['Program']}."]
    title = record["Images"]
    if name.rpartition("@")[2] not in record["Checkpoint"]:
        title = f"{title}, by another network"
        which = f"{record['Run']}, {record['Input']}"
        sentences.append(f"Of the network {which}, not of this one.")
    named = ((what, metric) for what, metric in _numbers(metrics) if metric["value"] is not None)
    rows = [(what, text(metric), interval(metric)) for what, metric in named]
    return section(title, sentences + metrics["verdicts"], MEASURED, rows)


def _numbers(metrics: Mapping) -> Iterable[tuple[str, Metric]]:
    within = metrics["within_source"]
    yield "Within-source AUROC, mean of the classes", within["macro_auroc"]
    for what, found in within["comparisons"].items():
        yield f"Within-source AUROC, {what}", found["auroc"]
    for key in ("macro_auroc", "accuracy", "macro_f1"):
        yield MACRO[key], metrics[key]
    for cheats in (metrics["probes"], metrics["cheats"]):
        for what, scores in cheats.items():
            yield f"{MACRO['macro_auroc']}, {what}", scores["macro_auroc"]
    for label, scores in metrics["per_class"].items():
        for key in ("recall", "precision", "auroc"):
            yield f"{label}: {PER_CLASS[key]}", scores[key]
        yield f"{label}: share of the others that is called so", _without(scores["specificity"])
    error = metrics["calibration"]["expected_calibration_error"]
    yield "Expected calibration error", error
    yield from at_thresholds(metrics)
    if sets := metrics["prediction_sets"]:
        yield from covered(sets)
        yield from ((name, sets[key]) for key, name in SETS.items())


def _without(metric: Metric) -> Metric:
    """1 minus the number."""
    if metric["value"] is None:
        return metric
    return {"value": 1 - metric["value"], "low": 1 - metric["high"], "high": 1 - metric["low"]}

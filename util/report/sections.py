"""What stands in the report of an evaluation, in its order, whatever it is written as."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from util.metrics.comparison import METRICS
from util.metrics.intervals import Metric
from util.report.facts import join
from util.report.parts import Cell, Figure, Row, Section, Table, sentence, text
from util.shortcuts.verdicts import GUESSING

MACRO = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "balanced_accuracy": "Balanced accuracy (macro recall)",
    "macro_precision": "Macro precision",
    "macro_specificity": "Macro specificity",
    "macro_auroc": "Macro AUROC",
    "macro_average_precision": "Macro average precision",
}
PER_CLASS = {
    "recall": "Recall (sensitivity)",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "Average precision",
}
CURVES = {
    "roc": ("ROC curves", "auroc"),
    "precision_recall": ("Precision and recall", "average_precision"),
}
HOW = {
    "Within one source": "Only images of one source are ranked against each other, so that a model "
    "that knows the source and nothing else has 0.5. An AUROC is how often an image of the first "
    "kind scores higher than one of the second. The sections below are of all images together.",
    "All classes together": "A cheat does not look at the disease; a model that is not well ahead "
    "of it may have learned the same. A line goes from 0 to 1. The lead is the difference on the "
    "same patients: only where its interval is above 0 is the model shown to be ahead.",
    "Class by class": "Each class against all others. Recall says how many of its images were "
    "found, precision how many of those given its name are of it.",
    "Confusion matrix": "A row is a true class, a column what its images were named; the diagonal "
    "is right.",
    "Curves": "Every threshold at once. ROC is best in the upper left corner, and a guess is the "
    "diagonal; precision over recall is best in the upper right, and a guess is the thin line.",
    "Probes": "The same model on the same images with a part of each taken away: what it still "
    "scores, it did not need that part for.",
    "The source in the features": "How well a linear classifier of the network's features tells "
    "the source of images of one class, where the disease cannot; 0.5 is chance.",
    "Calibration": "Of the images named with a probability of 0.8, 8 of 10 should be named "
    "rightly; a dot below the diagonal is a model too sure of itself. All of it holds for the "
    "mixture of classes in this split.",
    "Operating points": "An image counts as the class from this probability on. It was chosen for "
    "the wished rate on the model's own validation images, as many as stand beside it; then "
    "comes what it gives here. Nothing is given for validation images themselves.",
    "Prediction sets": "A set has the classes that an image may belong to. Of new patients like "
    "those of the calibration the wished share has the true class in it, whichever class that is "
    "and however common. For other patients, such as those of a hospital that training did not "
    "see, nothing is promised: there only the measured share counts. Each patient counts once, "
    "with however many images. A class with too few patients to calibrate on is in every set.",
    "Images left undecided": "How many of the images are named wrongly, if only the surest of them "
    "are named: those whose likeliest class has at least this probability. The curve of a "
    "model that knows when to doubt falls to the left; where doubt is a guess it follows the thin "
    "line. The area is the mean of the curve (AURC).",
    "In another population": "If the classes were as common as stated and looked as they do here, "
    "and the probabilities were moved to that; the rarer a class, the more of its alarms are "
    "false. The last two tables say how many are named wrongly there if only the surest are named; "
    "their probabilities are the moved ones. Every other section is of the images as they are.",
    "Subgroups": "Subgroups hold other mixtures of classes, so that a difference may be the "
    "mixture's. The line is the accuracy of all images; macro F1 is over the classes that occur.",
    "Worst mistakes": "Wrongly named, the surest first",
    "Data set": "How many images of whom are in it, and what was left out.",
    "Model card": "What the model's file says of it, and how it did here.",
    "CLAIM": "Items of the Checklist for Artificial Intelligence in Medical Imaging (2024 update) "
    "that the files of the run answer beyond the sections above; a paper has to answer the others.",
    "Limits": "What no number here can tell.",
    "Record": "What it takes to do it again.",
}
MAPS = (
    "; beside each image what spoke for the class that it was given, the brighter the more, each on"
    " a scale of its own. Each map is smoothed from {} x {} cells"
)
SETS = {
    "size": "Classes in a set, on average",
    "empty": "Sets of no class",
    "single": "Sets of one class",
    "full": "Sets of all classes",
    "decided": "Sets of the likeliest class and no other (--abstain decides)",
    "error_of_decided": "Wrong among sets of the likeliest class",
}
FIGURES = ("confusion_matrix", *CURVES, "reliability", "risk_coverage", "subgroups")


def sections(
    metrics: Mapping,
    facts: Mapping[str, str],
    plots: Mapping[str, Path],
    mistakes: Sequence[Figure],
    card: Mapping,
) -> list[Section]:
    """All of them, in order. The arguments are those of `util.report.write.write_report`.

    What takes a network is left out where metrics have it empty; their headline says so.
    """
    parts = [_within_source(metrics), _together(metrics), _by_class(metrics)]
    parts += [_confusion(metrics, plots), _curves(metrics, plots)]
    if metrics["probes"]:
        parts.append(_probes(metrics))
    if metrics["heat_outside_lungs"]:
        parts.append(_heat(metrics["heat_outside_lungs"]))
    if metrics["source_in_pictures"]:
        parts.append(_source_in_pictures(metrics["source_in_pictures"]))
    if metrics["source_in_features"]:
        parts.append(_source_in_features(metrics))
    parts += [_calibration(metrics, plots), _operating_points(metrics)]
    if metrics["prediction_sets"]:
        parts.append(_prediction_sets(metrics["prediction_sets"]))
    parts.append(_risk_coverage(metrics["risk_coverage"], plots))
    if metrics["prevalence"]:
        parts.append(_prevalence(metrics["prevalence"]))
    parts += [_subgroups(metrics, plots), _mistakes(metrics, mistakes)]
    limits = _section("Limits", notes=[("", limit) for limit in card["limits"]])
    return [*parts, *_cards(card), limits, _section("Record", [_facts(facts)])]


def _section(title: str, *parts, **more) -> Section:
    """With the sentence that belongs to its title."""
    return Section(title, HOW[title], *parts, **more)


# ---- How good ----


def headlines(metrics: Mapping) -> list[tuple[str, Metric, dict[str, Cell]]]:
    """The numbers that stand first: name, number, and what cheats have in its place."""
    within = metrics["within_source"]["macro_auroc"]
    by_source = {"the source alone": GUESSING} if "the source alone" in metrics["cheats"] else {}
    first = [("Within-source AUROC", within, by_source)]
    return first + [
        (MACRO[key], metrics[key], {cheat: s[key] for cheat, s in metrics["cheats"].items()})
        for key in ("accuracy", "macro_f1")
    ]


def _within_source(metrics: Mapping) -> Section:
    found = metrics["within_source"]
    rows = [Row("Mean of the classes", [found["macro_auroc"], "", "", ""], "model")]
    for name, kinds in found["comparisons"].items():
        sources = ", ".join(kinds["sources"]) or "no source has both"
        rows.append(Row(name, [kinds["auroc"], _size(kinds), kinds["pairs"], sources], "model"))
    head = ("Ranked", "AUROC", "Images (patients)", "Pairs", "Sources that have both")
    names, notes = list(metrics["subgroups"]["source"]), []
    if len(names) == 1:
        notes = [("", f"All images count as one source, {names[0]}: nothing is left out here.")]
    return _section("Within one source", [Table(head, rows, True)], (), notes)


def _together(metrics: Mapping) -> Section:
    rows = []
    for key, name in MACRO.items():
        rows.append(Row(name, [metrics[key]], "model"))
        rows += [Row(c, [s[key]], "cheat") for c, s in metrics["cheats"].items() if key in s]
    tables = [Table(("Metric", "Value"), rows, True)]
    if metrics["cheats"]:
        ahead = [Row(c, [s["lead"][key] for key in METRICS]) for c, s in metrics["cheats"].items()]
        tables.append(Table(("The model's lead over", *(MACRO[key] for key in METRICS)), ahead))
    notes = [(name, sentence(scores["how"])) for name, scores in metrics["cheats"].items()]
    return _section("All classes together", tables, (), notes)


def _by_class(metrics: Mapping) -> Section:
    rows = [
        Row(label, [_size(scores), *(scores[key] for key in PER_CLASS)])
        for label, scores in metrics["per_class"].items()
    ]
    head = ("Class", "Images (patients)", *PER_CLASS.values())
    return _section("Class by class", [Table(head, rows, kind="classes")])


def _confusion(metrics: Mapping, plots: Mapping[str, Path]) -> Section:
    classes = metrics["classes"]
    lines = [
        f"of {sum(row)} {label}: "
        + ", ".join(f"{n} {name}" for n, name in zip(row, classes, strict=True))
        for label, row in zip(classes, metrics["confusion_matrix"], strict=True)
    ]
    alt = f"Confusion matrix; named as: {'; '.join(lines)}."
    figures = _figure(plots, "confusion_matrix", "Share of the row, and images", alt)
    return _section("Confusion matrix", figures=figures)


def _curves(metrics: Mapping, plots: Mapping[str, Path]) -> Section:
    figures = []
    for name, (title, key) in CURVES.items():
        areas = (f"{label} {text(scores[key])}" for label, scores in metrics["per_class"].items())
        alt = f"{title}. {PER_CLASS[key]}: {', '.join(areas)}."
        figures += _figure(plots, name, title, alt)
    return _section("Curves", figures=figures)


# ---- Whether to believe it ----


def _probes(metrics: Mapping) -> Section:
    def row(name: str, scores: Mapping, how: str, kind: str) -> Row:
        return Row(name, [*(scores[key] for key in METRICS), sentence(how)], kind)

    rows = [row("whole image", metrics, "the model's own score", "model")]
    for kind, those in (("model", metrics["probes"]), ("cheat", metrics["cheats"])):
        rows += [row(name, scores, scores["how"], kind) for name, scores in those.items()]
    head = ("Image", *(MACRO[key] for key in METRICS), "How to read it")
    return _section("Probes", [Table(head, rows, True, "readings")])


def _heat(heat: Mapping) -> Section:
    rows = [
        Row("Heat outside the lungs", [heat], "model"),
        Row("The image outside the lungs", [heat["box_outside"]]),
    ]
    table = Table(("Share", "Value"), rows, True)
    return Section("Heat outside the lungs", sentence(heat["how"]), [table])


def _source_in_pictures(known: Mapping) -> Section:
    rows = [
        Row("Named by picture statistics", [known["accuracy"]], "model"),
        Row("Named after the commonest", [known["commonest"]]),
    ]
    table = Table(("Sources named rightly", "Share"), rows, True)
    return Section("The source in the pictures", sentence(known["how"]), [table])


def _source_in_features(metrics: Mapping) -> Section:
    rows = []
    for label, known in metrics["source_in_features"].items():
        cells = [known["auroc"], known["images"], join(known["sources"].items())]
        rows.append(Row(label, [*cells, sentence(known["how"])], "model"))
    head = ("Class", "AUROC", "Images", "Of them", "How to read it")
    return _section("The source in the features", [Table(head, rows, True, "readings")])


def _calibration(metrics: Mapping, plots: Mapping[str, Path]) -> Section:
    calibration = metrics["calibration"]
    error = calibration["expected_calibration_error"]
    rows = [
        Row("Expected calibration error", [error], "model"),
        Row("What only chance would show", [float(calibration["expected_by_chance"])]),
        Row("Brier score (0 is best, 2 worst)", [calibration["brier"]]),
        Row("Log-loss (0 is best)", [calibration["log_loss"]]),
    ]
    if calibration["temperature"]:
        rows.append(Row("Temperature", [float(calibration["temperature"])]))
    bins = [
        Row(f"{b['low']:.2f} to {b['high']:.2f}", [b["images"], b["confidence"], b["accuracy"]])
        for b in calibration["bins"]
    ]
    alt = f"Reliability diagram of {len(bins)} bins; expected calibration error {text(error)}."
    tables = [
        Table(("Metric", "Value"), rows),
        Table(("Probability", "Images", "Mean probability", "Share named rightly"), bins),
    ]
    return _section("Calibration", tables, _figure(plots, "reliability", "Reliability", alt))


def _operating_points(metrics: Mapping) -> Section:
    keys = ("chosen_on", "threshold", "sensitivity", "specificity")
    rows = [
        Row(label, [f"{point['rate']} {point['wished']:g}", *(point[key] for key in keys)])
        for label, point in metrics["operating_points"].items()
    ]
    head = ("Class", "Wished", "Chosen on", "Threshold", "Sensitivity", "Specificity")
    return _section("Operating points", [Table(head, rows)])


def _prediction_sets(sets: Mapping) -> Section:
    wished = float(sets["coverage"])
    rows = [
        Row(label, [_size(found), wished, found["covered"], found["threshold"] or "in every set",
                    found["calibrated_on"]])
        for label, found in sets["classes"].items()
    ]  # fmt: skip
    head = (
        "Class",
        "Images (patients)",
        "Wished",
        "Holds it",
        "Threshold",
        "Calibrated on patients",
    )
    said = [Row(name, [sets[key]]) for key, name in SETS.items()]
    tables = [Table(head, rows), Table(("Each patient counts once", "Value"), said)]
    tables += [
        Table(
            (column.capitalize(), "Images (patients)", "Holds the true class"),
            [Row(name, [_size(found), found["covered"]]) for name, found in groups.items()],
            kind="even",
        )
        for column, groups in sets["subgroups"].items()
    ]
    return _section("Prediction sets", tables)


def _risk_coverage(found: Mapping, plots: Mapping[str, Path]) -> Section:
    alt = f"Error over the share of the images that are named; area {text(found['area'])}."
    figures = _figure(plots, "risk_coverage", "Error and share named", alt)
    return _section("Images left undecided", _error_by_share(found), figures)


def _error_by_share(found: Mapping) -> list[Table]:
    """The error over the share that is named, of `util.metrics.selective.risk_coverage`."""
    rows = [
        Row(f"{point['decided']:.3f}", [point["probability"], point["error"]])
        for point in found["points"]
    ]
    return [
        Table(
            ("Metric", "Value"),
            [Row("Area under risk and coverage (AURC)", [found["area"]], "model")],
        ),
        Table(("Share named", "From this probability on", "Of them named wrongly"), rows),
    ]


def _prevalence(population: Mapping) -> Section:
    rows = [
        Row(label, [float(share), population["recall"][label], population["precision"][label]])
        for label, share in population["stated"].items()
    ]
    head = ("Class", "Stated share", "Recall (sensitivity)", "Precision")
    tables = [Table(head, rows), *_error_by_share(population["risk_coverage"])]
    return _section("In another population", tables)


def _subgroups(metrics: Mapping, plots: Mapping[str, Path]) -> Section:
    tables = [
        Table(
            (column.capitalize(), "Images (patients)", MACRO["accuracy"], MACRO["macro_f1"]),
            [Row(name, [_size(f), f["accuracy"], f["macro_f1"]]) for name, f in groups.items()],
            kind="even",
        )
        for column, groups in metrics["subgroups"].items()
    ]
    alt = "Accuracy of each subgroup with its 95 % interval; the numbers are in the tables."
    return _section("Subgroups", tables, _figure(plots, "subgroups", "Accuracy by subgroup", alt))


def _mistakes(metrics: Mapping, figures: Sequence[Figure]) -> Section:
    notes = () if figures else [("", "There are none to show.")]
    heat, how = metrics["heat_outside_lungs"], HOW["Worst mistakes"]
    how += MAPS.format(*heat["grid"]) if heat else ""
    return Section("Worst mistakes", f"{how}.", (), figures, notes, kind="gallery")


# ---- What it was measured on and with ----


def _cards(card: Mapping) -> list[Section]:
    """Of `util.report.model_card.model_card`."""
    tables = [_facts(card["data"])] if card["data"] else []
    for name in ("counts", "people"):
        if card[name]["rows"]:
            rows = [Row(row[0], row[1:]) for row in card[name]["rows"]]
            tables.append(Table(card[name]["head"], rows, kind="even"))
    answers = [
        Row(str(row["item"]), (row["what"], sentence(row["answer"]))) for row in card["claim"]
    ]
    return [
        _section("Data set", tables),
        _section("Model card", [_facts(card["model"])]),
        _section("CLAIM", [Table(("Item", "What", "Answer"), answers, kind="claim")]),
    ]


# ---- Parts ----


def _size(counts: Mapping) -> str:
    return f"{counts['images']:,} ({counts['patients']:,})"


def _facts(facts: Mapping[str, str]) -> Table:
    return Table((), [Row(name, [value]) for name, value in facts.items()], kind="facts")


def _figure(plots: Mapping[str, Path], name: str, title: str, alt: str) -> list[Figure]:
    return [Figure(Path(plots[name]), title, alt)] if name in plots else []

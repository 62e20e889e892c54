"""The report of a training with folds: what each fold scores, and all of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from util.report.parts import Row, Section, Table
from util.report.write import write_pages
from util.words import SCORES

NAMES = {
    "within_source_auroc": "Within-source AUROC",
    "macro_auroc": "Macro AUROC",
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "expected_calibration_error": "Expected calibration error",
    "brier": "Brier score (0 is best, 2 worst)",
    "log_loss": "Log-loss (0 is best)",
}
HEADLINES = ("within_source_auroc", "accuracy", "macro_f1")
HOW = (
    "Each image is predicted by the network that never saw its patient, nor a copy of it. The"
    " images that a fold holds out choose nothing: a tenth of its other patients is its validation,"
    " which chooses the epoch, by its {score}, and the temperature. The test split was not read."
)
EACH = (
    "The scores of the folds differ by chance, and because their networks do. The spread is the"
    " standard deviation between them. The last line ranks the images of all folds together,"
    " although several networks give their probabilities; its intervals count patients."
)


def how(chosen_by: Iterable[str]) -> str:
    """What chose the networks. chosen_by: of each one's checkpoint."""
    return HOW.format(score=" or ".join(SCORES[name] for name in dict.fromkeys(chosen_by)))


def write_report(folder: Path, scores: Mapping) -> Path:
    """Writes report.html and report.md; scores: what folds.json holds."""
    said = f"{len(scores['per_fold'])} networks. {scores['how']}"
    summary = {name: scores[name] for name in ("classes", "images", "patients")}
    summary |= {"headline": {"state": "", "sentence": said}, "verdicts": (), "warnings": ()}
    headlines = [(NAMES[name], scores["pooled"][name], {}) for name in HEADLINES]
    return write_pages(folder, "COVID-Next folds", summary, headlines, [_folds(scores)])


def _folds(scores: Mapping) -> Section:
    rows = [
        Row(f"Fold {fold['fold']}", [_size(fold), *(fold[name] for name in NAMES)])
        for fold in scores["per_fold"]
    ]
    rows += [
        Row("Mean of the folds", ["", *(scores["mean"][name] for name in NAMES)], "model"),
        Row("Spread", ["", *(scores["spread"][name] for name in NAMES)]),
        Row("All images", [_size(scores), *(scores["pooled"][name] for name in NAMES)], "model"),
    ]
    head = ("", "Images (patients)", *NAMES.values())
    return Section("Fold by fold", EACH, [Table(head, rows, kind="classes")])


def _size(counts: Mapping) -> str:
    return f"{counts['images']:,} ({counts['patients']:,})"

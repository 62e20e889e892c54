"""The report of an evaluation: one HTML file that opens anywhere and needs no network."""

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from util.files import atomic_path

NAMES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "macro_recall": "Macro recall (balanced accuracy)",
    "macro_precision": "Macro precision",
    "macro_auroc": "Macro AUROC",
}
COLUMNS = {
    "recall": "Recall (sensitivity)",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "auroc": "AUROC",
}
LIMITS = (
    "The numbers hold for this split only. Another hospital, scanner or year may give others.",
    "Labels are noisy: many were read from reports or from articles, few by several radiologists.",
    "The public COVID-19 images come from other sources than the normal and pneumonia images, so "
    "that hospital and disease are confounded. A model can score well by recognising the source.",
    "An interval covers the chance of which patients are in the split, and no other doubt.",
)


def write_report(
    folder: str | Path,
    metrics: dict,
    facts: dict[str, str],
    cheats: dict[str, dict],
    plots: Sequence[tuple[str, Path]] = (),
    limits: Sequence[str] = LIMITS,
) -> Path:
    """Write `folder`/report.html and return its path.

    `metrics` is what `evaluate_predictions` returns. `facts` are names and values of the record:
    checkpoint, dataset, split, versions, command. `cheats` maps the name of a rule that never looks
    at the image to its `accuracy` and `macro_f1`, each {"value", "low", "high"}, and to `how`, one
    sentence. `plots` are titles and PNG files, embedded in their order. Everything is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "interval": _interval}
    html = environment.get_template("report.html.jinja").render(
        metrics=metrics,
        names=NAMES,
        columns=COLUMNS,
        verdicts=[_verdict(metrics, name, cheat) for name, cheat in cheats.items()],
        facts=facts,
        cheats=cheats,
        plots=[(title, _data_uri(path)) for title, path in plots],
        limits=limits,
    )
    path = Path(folder) / "report.html"
    with atomic_path(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _verdict(metrics: dict, name: str, cheat: dict) -> str:
    """One sentence: is the model better than a rule that never looks at the image?"""
    model, rule = metrics["macro_f1"], cheat["macro_f1"]
    if model["value"] is None or rule["value"] is None:
        return f"No comparison with {name}: macro F1 is undefined."
    if model["low"] > rule["high"]:
        return f"Better than {name}, which never looks at the image: the intervals lie apart."
    if model["high"] < rule["low"]:
        return f"Worse than {name}, which never looks at the image."
    return f"Not clearly better than {name}, which never looks at the image: the intervals overlap."


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _interval(metric: dict[str, float | None]) -> str:
    return "" if metric["value"] is None else f"{metric['low']:.3f} to {metric['high']:.3f}"


def _data_uri(path: str | Path) -> str:
    return "data:image/png;base64," + base64.b64encode(Path(path).read_bytes()).decode("ascii")

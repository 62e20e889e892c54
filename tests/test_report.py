import copy
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from util.metrics import evaluate_predictions
from util.plots import plot_confusion_matrix
from util.report import LIMITS, NAMES, write_report

CLASSES = ["normal", "pneumonia", "COVID-19"]
HOSTILE = '<script>alert("x")</script>'
FACTS = {"Checkpoint": "best.pth", "Command": "python3 evaluate.py best.pth --split test"}
HOW = "each image named after the commonest class of its source in train"


def evaluated(classes: list[str] = CLASSES, hits: float = 0.9, seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    targets = np.repeat([0, 1, 2], [60, 60, 9])
    guesses = np.where(generator.random(129) < hits, targets, generator.integers(3, size=129))
    patients = [f"rsna:{index // 2}" for index in range(129)]
    return evaluate_predictions(np.eye(3)[guesses], targets, patients, classes, draws=50)


def cheat(hits: float) -> dict:
    found = evaluated(hits=hits, seed=1)
    return {"accuracy": found["accuracy"], "macro_f1": found["macro_f1"], "how": HOW}


@pytest.fixture
def written(tmp_path):
    """Write a report of a good model and return its text."""

    def write(metrics: dict | None = None, cheats: dict | None = None, **rest) -> str:
        cheats = {"source alone": cheat(0.3)} if cheats is None else cheats
        path = write_report(
            tmp_path, metrics or evaluated(), rest.pop("facts", FACTS), cheats, **rest
        )
        assert path == tmp_path / "report.html"
        return path.read_text(encoding="utf-8")

    return write


class Page(HTMLParser):
    """What a browser would load, run and show."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.loads, self.open, self.shown = [], [], [], []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.shown).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.shown.append(data)


def test_the_report_is_one_file_that_asks_the_network_for_nothing(written, tmp_path):
    plot = plot_confusion_matrix(np.eye(3), CLASSES, tmp_path / "matrix.png")
    html = written(plots=[("Confusion matrix", plot)])
    page = Page(html)
    assert len(page.loads) == 1
    assert page.loads[0].startswith("data:image/png;base64,")
    assert not re.search(r"https?://|@import|url\(", html)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in html
    assert str(tmp_path) not in html


def test_every_tag_that_opens_closes(written):
    assert Page(written()).open == []


def test_every_number_stands_with_its_interval(written):
    metrics, rule = evaluated(), cheat(0.3)
    text = Page(written(metrics, {"source alone": rule})).text
    entries = [metrics[name] for name in NAMES] + [rule["accuracy"], rule["macro_f1"]]
    for scores in metrics["per_class"].values():
        entries += [entry for entry in scores.values() if isinstance(entry, dict)]
    assert len(entries) == 22
    for entry in entries:
        value, low, high = (f"{entry[key]:.3f}" for key in ("value", "low", "high"))
        assert re.search(rf"{value} (95 % interval )?{low} to {high}", text)


def test_the_summary_comes_before_everything_else(written):
    metrics = evaluated()
    text = Page(written(metrics)).text
    order = [
        "not a medical device",
        f"Accuracy {metrics['accuracy']['value']:.3f}",
        f"Macro F1 {metrics['macro_f1']['value']:.3f}",
        metrics["warnings"][0],
        "Class by class",
        LIMITS[0],
        "python3 evaluate.py best.pth --split test",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_the_report_says_that_it_is_no_medical_device(written):
    text = Page(written()).text
    assert "This is a research tool, not a medical device." in text
    assert "must not be used to diagnose or treat anyone" in text


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.80, 0.90, "Better than source alone"),
        (0.65, 0.75, "Not clearly better than source alone"),
        (0.55, 0.65, "Not clearly better than source alone"),
        (0.40, 0.50, "Worse than source alone"),
    ],
)
def test_the_summary_says_whether_the_model_beats_the_cheat(written, low, high, verdict):
    metrics, rule = evaluated(), cheat(0.3)
    metrics["macro_f1"] = {"value": (low + high) / 2, "low": low, "high": high}
    rule["macro_f1"] = {"value": 0.65, "low": 0.60, "high": 0.70}
    text = Page(written(metrics, {"source alone": rule})).text
    assert verdict in text
    assert HOW in text


def test_the_cheat_stands_beside_the_model_in_the_summary_and_in_the_table(written):
    rule = cheat(0.3)
    text = Page(written(cheats={"source alone": rule})).text
    for name in ("accuracy", "macro_f1"):
        number = f"{rule[name]['value']:.3f}"
        assert f"source alone: {number}" in text
        assert f"source alone {number}" in text


def test_a_report_without_cheats_and_plots_is_whole(written):
    text = Page(written(cheats={})).text
    assert "source alone" not in text
    assert "Limits" in text


def test_undefined_numbers_are_called_undefined(written):
    metrics = copy.deepcopy(evaluated())
    empty = {"value": None, "low": None, "high": None}
    metrics["per_class"]["COVID-19"]["recall"] = metrics["macro_auroc"] = empty
    metrics["macro_f1"] = empty
    text = Page(written(metrics)).text
    assert "Macro AUROC undefined" in text
    assert "None" not in text
    assert "No comparison with source alone" in text


def test_names_from_outside_are_escaped(written, tmp_path):
    plot = plot_confusion_matrix(np.eye(3), CLASSES, tmp_path / "matrix.png")
    html = written(
        evaluated([HOSTILE, "a", "b"]),
        {HOSTILE: cheat(0.3) | {"how": HOSTILE}},
        facts={HOSTILE: HOSTILE},
        plots=[('"><script>', plot)],
        limits=[HOSTILE],
    )
    page = Page(html)
    assert "script" not in page.tags
    assert page.text.count(HOSTILE) >= 6

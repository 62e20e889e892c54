import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.example_metrics import ABOUT, CHECKPOINT, FACTS, NOTHING, ORIGINAL, example
from tests.helpers.networks import CLASSES
from util.metrics.comparison import METRICS
from util.plots.confusion_matrix import plot_confusion_matrix
from util.plots.evaluation import draw_all
from util.report.facts import LIMITS, model_facts
from util.report.model_card import model_card
from util.report.write import write_report

HOSTILE = '<script>alert("x")</script>| [a](b) `c` *d*\n# e'
ORDER = [
    "not a medical device", "Within-source AUROC 0.", "the source alone: 0.500", "Accuracy 0.",
    "the source alone: 0.", "Macro F1 0.", "Called out: with the lungs blacked out",
    "Between images of one source", "With the lungs blacked out", "pneumonia: 28 patients",
    "Within one source", "All classes together",
    "Class by class", "Confusion matrix", "Curves", "Probes", "Heat outside the lungs",
    "The source in the features", "Calibration", "Operating points", "Prediction sets",
    "Images left undecided", "In another population",
    "Subgroups", "Worst mistakes", "Data set", "Model card", "CLAIM", "Limits", LIMITS[0],
    "Record", "--split test",
]  # fmt: skip


def picture(side: int = 8, seed: int = 0) -> bytes:
    """A PNG twice as wide as high, of noise: it compresses as badly as any radiograph."""
    pixels = np.random.default_rng(seed).integers(256, size=(side, 2 * side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def mistake(**changes) -> dict:
    return {
        "image": picture(), "file": "rsna-00097.png", "truth": "normal", "predicted": "COVID-19",
        "probability": 0.9871, "source": "rsna", "view": "PA",
    } | changes  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Write a report, and return the text of both its files."""

    def write(metrics: dict | None = None, **changes) -> tuple[str, str]:
        metrics = metrics or example()
        parts = {
            "facts": FACTS,
            "plots": {},
            "gallery": [mistake()],
            "card": model_card(model_facts(CHECKPOINT), CHECKPOINT, ABOUT, metrics, "test"),
        }
        path = write_report(tmp_path, metrics, **parts | changes)
        assert path == tmp_path / "report.html"
        markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
        return path.read_text(encoding="utf-8"), markdown

    return write


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    targets = np.repeat([0, 1, 2], 20)
    return draw_all(example(), np.eye(3)[targets], targets, tmp_path_factory.mktemp("plots"))


@pytest.fixture
def plots(drawn, tmp_path):
    return {name: Path(shutil.copy(path, tmp_path)) for name, path in drawn.items()}


class Page(HTMLParser):
    """What a browser would load, run and show."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.loads, self.alts, self.open, self.shown = [], [], [], [], []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.shown).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "srcset")]
        self.alts += [value for name, value in attributes if name == "alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.shown.append(data)


def entries(part) -> list[dict]:
    """Every metric in a part of metrics.json, however deep."""
    if not isinstance(part, dict):
        return []
    inner = [entry for value in part.values() for entry in entries(value)]
    return [part, *inner] if {"value", "low", "high"} <= part.keys() else inner


def assert_even(markdown: str) -> list[str]:
    """The tables, each of which has as many bars in every line."""
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    return tables


# ---- report.html ----


def test_the_page_asks_the_network_for_nothing(write, plots, tmp_path):
    html, _ = write(plots=plots)
    page = Page(html)
    assert page.open == []  # every tag that opens closes
    assert len(page.loads) == 7
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert not re.search(r"https?://|@import|url\(", html)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in html
    assert str(tmp_path) not in html


def test_every_number_stands_with_its_interval(write):
    html, markdown = write()
    text = Page(html).text
    found = [entry for entry in entries(example()) if entry["value"] is not None]
    assert len(found) > 70
    for entry in found:
        value, low, high = (f"{entry[key]:.3f}" for key in ("value", "low", "high"))
        assert re.search(rf"{value} (95 % interval )?{low} to {high}", text)
        assert f"{value} ({low} to {high})" in markdown


def test_both_files_hold_the_same_numbers(write, plots):
    html, markdown = write(plots=plots)
    assert len(assert_even(markdown)) > 12
    page = Page(html)
    shown = " ".join([page.text, *page.alts])
    links = re.compile(r"\]\([^)]*\)")  # names of files
    numbers = [
        sorted(re.findall(r"\d[\d.,]*\d|\d", text)) for text in (shown, links.sub("", markdown))
    ]
    without = [[n for n in some if n != "95"] for some in numbers]  # how often it says 95 % differs
    assert without[0] == without[1]


@pytest.mark.parametrize("form", [0, 1])
def test_the_sections_come_in_order_and_the_summary_first(write, form):
    report = write()[form]
    text = (Page(report).text if form == 0 else report).replace("**", "")
    start = 0
    for part in ORDER:
        start = text.index(part, start)  # which raises where it does not follow


def test_every_section_says_how_it_is_read(write):
    html, markdown = write()
    assert html.count("<h2>") == html.count('<p class="note">') == 21
    for block in markdown.split("\n## ")[1:]:
        assert block.split("\n")[2].endswith(".")


def test_the_report_says_that_it_is_no_medical_device(write):
    for report in write():
        assert "This is a research tool, not a medical device." in report
        assert "must not be used to diagnose or treat anyone" in report


def test_verdicts_warnings_and_how_to_read_each_probe_are_there(write):
    html, markdown = write()
    metrics = example()
    parts = [metrics["heat_outside_lungs"], metrics["source_in_pictures"]]
    for name in ("probes", "cheats", "source_in_features"):
        parts += metrics[name].values()
    hows = [part["how"] for part in parts]
    for words in [*metrics["verdicts"], *metrics["warnings"], *hows]:
        words = words[1:]  # a sentence gets a capital
        assert words in Page(html).text
        assert words in markdown


def test_the_probes_stand_beside_the_score_of_the_whole_image(write):
    html, markdown = write()
    metrics, text = example(), Page(html).text
    rows = markdown.split("## Probes")[1].split("\n## ")[0]
    parts = {**metrics["probes"], "*the source alone*": metrics["cheats"]["the source alone"]}
    for name, scores in {"whole image": metrics, **parts}.items():
        numbers = [f"{n:.3f}" for key in METRICS for n in scores[key].values()]
        assert f"| {name} | {{}} ({{}} to {{}}) | {{}} ({{}} to {{}}) |".format(*numbers) in rows
        assert f"{name.strip('*')} {{}} {{}} to {{}} {{}} {{}} to {{}}".format(*numbers) in text


def test_what_pictures_show_of_the_source_stands_beside_the_commonest_source(write):
    html, markdown = write()
    assert "| Named by picture statistics | 0.907 (0.811 to 0.957) |" in markdown
    assert "| Named after the commonest | 0.636 |" in markdown
    assert "Named by picture statistics 0.907 0.811 to 0.957" in Page(html).text


def test_within_one_source_each_comparison_has_its_images_pairs_and_sources(write):
    metrics = example()
    comparisons = metrics["within_source"]["comparisons"]
    comparisons["normal against pneumonia"] |= {"auroc": dict(NOTHING), "images": 0, "patients": 0}
    comparisons["normal against pneumonia"] |= {"pairs": 0, "sources": []}
    html, markdown = write(metrics)
    for name, kinds in comparisons.items():
        numbers = "undefined"
        if kinds["pairs"]:
            numbers = "{:.3f} ({:.3f} to {:.3f})".format(*kinds["auroc"].values())
        sources = ", ".join(kinds["sources"]) or "no source has both"
        size = f"{kinds['images']} ({kinds['patients']}) | {kinds['pairs']:,} | {sources} |"
        assert f"| {name} | {numbers} | {size}" in markdown
    assert "no source has both" in Page(html).text
    assert "All images count as one source" not in markdown
    metrics["subgroups"]["source"] = {"folder": metrics["subgroups"]["source"]["rsna"]}
    for report in write(metrics):
        assert "All images count as one source, folder: nothing is left out here." in report


def test_every_chart_has_words_for_who_cannot_see_it(write, plots):
    alts, metrics = Page(write(plots=plots)[0]).alts, example()
    assert len(alts) == 7
    row = metrics["confusion_matrix"][0]
    assert "of {} normal: {} normal, {} pneumonia, {} COVID-19".format(sum(row), *row) in alts[0]
    areas = [scores["auroc"]["value"] for scores in metrics["per_class"].values()]
    wanted = "ROC curves. AUROC: normal {:.3f}, pneumonia {:.3f}, COVID-19 {:.3f}."
    assert alts[1] == wanted.format(*areas)
    assert all(alts)


def test_what_was_not_measured_is_said_or_left_out(write):
    metrics = example() | {"cheats": {}, "verdicts": [], "prevalence": None, "operating_points": {}}
    metrics["source_in_pictures"] = metrics["prediction_sets"] = None
    html, markdown = write(metrics, gallery=[])
    assert Page(html).loads == []
    for report in (html, markdown):
        assert "the source alone" not in report.lower()
        assert "There are none to show." in report
        assert "In another population" not in report
        assert "Prediction sets" not in report
        assert "The source in the pictures" not in report
        assert "Nothing was measured here." in report


def test_undefined_numbers_are_called_undefined(write):
    metrics = example()
    metrics["macro_auroc"] = metrics["per_class"]["COVID-19"]["recall"] = dict(NOTHING)
    metrics["heat_outside_lungs"] |= NOTHING
    metrics["calibration"]["expected_calibration_error"] = dict(NOTHING)
    html, markdown = write(metrics)
    assert "Macro AUROC undefined" in Page(html).text
    assert "| Macro AUROC | undefined |" in markdown
    for report in (Page(html).text, markdown):
        assert not re.search(r"\bNone\b|\bnan\b", report)


def test_what_takes_the_network_is_left_out_where_it_is_not_here(write):
    metrics = example() | {"probes": {}, "heat_outside_lungs": None, "source_in_features": {}}
    metrics["verdicts"] = []
    metrics["calibration"]["temperature"] = None
    html, markdown = write(
        metrics, card=model_card({"Name": "theirs"}, CHECKPOINT, ABOUT, metrics, "test")
    )
    for report in (Page(html).text, markdown):
        for words in ("Probes", "Heat outside", "The source in the features", "Temperature"):
            assert words not in report
        for words in ("Calibration", "Worst mistakes", "The source in the pictures", "theirs"):
            assert words in report


def test_the_original_and_a_folder_without_a_data_set_are_reported(write):
    html, markdown = write(card=model_card(model_facts(ORIGINAL), ORIGINAL, None, example(), None))
    for report in (Page(html).text, markdown):
        assert "not in the checkpoint" in report
        assert "COVID-Next, 2020" in report


def test_claim_items_that_the_sections_leave_open_are_answered(write):
    html, markdown = write()
    for report in (Page(html).text, markdown):
        assert "Evaluated: 102 images of 77 patients." in report
    assert "| 10 | Selection of data subsets | Images with another label than" in markdown


# ---- Escaping ----


def test_names_from_outside_are_escaped(write, tmp_path):
    metrics = example() | {"verdicts": [HOSTILE], "warnings": [HOSTILE]}
    metrics["classes"] = [HOSTILE, "a", "b"]
    metrics["per_class"] = {HOSTILE: metrics["per_class"]["normal"]}
    metrics["cheats"] = {HOSTILE: metrics["cheats"]["the source alone"] | {"how": HOSTILE}}
    for part in (metrics, metrics["prediction_sets"]):
        part["subgroups"] = {"source": {HOSTILE: part["subgroups"]["source"]["rsna"]}}
    sets = metrics["prediction_sets"]
    sets["classes"] = {HOSTILE: sets["classes"]["normal"]}
    checkpoint = CHECKPOINT | {"config": {"name": HOSTILE}}
    card = model_card(model_facts(checkpoint), checkpoint, ABOUT, metrics, "test")
    hostile = mistake(file=HOSTILE, truth=HOSTILE, predicted=HOSTILE, source=HOSTILE, view=HOSTILE)
    plots = {"confusion_matrix": plot_confusion_matrix(np.eye(3), CLASSES, tmp_path / "a b(1).png")}
    html, markdown = write(
        metrics, card=card, gallery=[hostile], facts={HOSTILE: HOSTILE}, plots=plots
    )
    page = Page(html)
    assert "script" not in page.tags
    assert page.text.count("<script>") >= 12
    assert "<script>" not in markdown
    assert not re.search(r"(?<!\\)\[a|(?<!\\)`|^# e", markdown, re.MULTILINE)
    assert "(a%20b%281%29.png)" in markdown
    assert_even(markdown)  # no name makes a column of its own


def test_a_hostile_file_name_names_no_file_elsewhere(write, tmp_path):
    names = ["../../etc/passwd", "a/b\\c.png", "ü" * 300, "", "." * 5]
    write(gallery=[mistake(file=name) for name in names])
    found = sorted(path.name for path in (tmp_path / "gallery").iterdir())
    assert len(found) == 5
    assert all(re.fullmatch(r"\d\d-[\w-]{0,60}\.png", name, re.ASCII) for name in found)
    assert {path.name for path in tmp_path.iterdir()} == {"gallery", "report.html", "report.md"}


# ---- report.md and the gallery ----


def test_the_pictures_of_the_markdown_lie_where_it_says(write, plots, tmp_path):
    _, markdown = write(
        plots=plots, gallery=[mistake(), mistake(file="b.png", image=picture(seed=1))]
    )
    links = re.findall(r"!\[[^\n]*\]\(([^)]*)\)", markdown)
    assert len(links) == 8
    assert links[-2:] == ["gallery/01-rsna-00097.png", "gallery/02-b.png"]
    for link in links:
        with Image.open(tmp_path / link) as image:
            assert image.format == "PNG"
    assert (tmp_path / links[-1]).read_bytes() == picture(seed=1)


def test_a_gallery_of_an_earlier_report_goes(write, tmp_path):
    write(gallery=[mistake(), mistake()])
    (tmp_path / "gallery" / "mine.png").write_bytes(b"")
    write(gallery=[mistake(file="other.png")])
    found = sorted(path.name for path in (tmp_path / "gallery").iterdir())
    assert found == ["01-other.png", "mine.png"]


def test_a_plot_that_the_report_does_not_know_is_refused(write, plots):
    with pytest.raises(
        ValueError, match=r"plots: found rok; expected some of confusion_matrix, roc"
    ):
        write(plots={"rok": plots["roc"]})


def test_a_report_with_twelve_mistakes_stays_below_five_megabytes(write, plots, tmp_path):
    # 210 KB is the largest of twelve overlays of 384 x 768 pixels on real radiographs.
    gallery = [mistake(image=picture(187, seed=k)) for k in range(12)]
    assert len(gallery[0]["image"]) > 200_000
    write(plots=plots, gallery=gallery)
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


# ---- In a browser ----

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium to render the page with")
@pytest.mark.parametrize("width", [1100, 500])
def test_a_browser_renders_the_page_without_complaint(write, plots, tmp_path, width):
    write(plots=plots, gallery=[mistake(image=picture(64))])
    shot = tmp_path / "shot.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += [f"--screenshot={shot}", f"--window-size={width},3000"]
    command = [CHROMIUM, *flags, (tmp_path / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr  # a picture or style that the policy refuses says so here
    with Image.open(shot) as image:
        assert image.size == (width, 3000)
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.std() > 20
    blue = (abs(pixels - [0, 0x72, 0xB2]).sum(2) < 12).sum()
    assert blue > 500  # the model's numbers and dots: the style is there
    assert (pixels[:, -10:] == pixels[0, -1]).all()  # nothing runs over the right edge

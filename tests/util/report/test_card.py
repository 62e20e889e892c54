"""The card of a network: what it says of itself, its films, and every number with its interval."""

import pytest

from tests.helpers.example_metrics import ABOUT, CHECKPOINT, ORIGINAL, example
from util.report.card import own_card
from util.report.parts import interval, text
from util.report.released_card import released_card
from util.report.write import write_card

ORIGINS = {
    "head": ["Source", "Hospital", "Licence", "train", "val", "test"],
    "rows": [["rsna", "NIH | Bethesda", "terms of RSNA", 1598, 75, 74]],
}
RECORD = {
    "Checkpoint": "experiments/a/best-int8.onnx (1a2b3c4d)", "Run": "a, epoch 37",
    "Input": "96 x 96 pixels", "Images": "dataset/real, split test", "Program": "commit 0123abc",
    "Command": "python3 evaluate.py experiments/a/best-int8.onnx",
}  # fmt: skip


def of(title, sections):
    (found,) = (section for section in sections if section["title"] == title)
    return found


@pytest.fixture
def metrics():
    return example() | {"record": RECORD}


@pytest.fixture
def card(metrics):
    other = metrics | {"record": RECORD | {"Checkpoint": "b.pth (ffffffff)", "Run": "without b"}}
    return released_card("a.onnx@1a2b3c4d", CHECKPOINT, ABOUT, ORIGINS, [metrics, other])


@pytest.mark.parametrize("checkpoint", [CHECKPOINT, ORIGINAL])
def test_every_network_says_what_it_is_not_for_its_classes_its_mixture_and_its_limits(checkpoint):
    use, network, limits = own_card(checkpoint | {"sources": {"rsna": 1598, "siim": 12}})
    assert any("Not to diagnose" in sentence for sentence in use["text"])
    facts = dict(network["rows"])
    assert facts["Classes"] == "normal, pneumonia, COVID-19"
    assert facts["Images shown in training"] == "rsna (1,598); siim (12)"
    known = "normal 40 %" if checkpoint["prior"] else "not in the checkpoint"
    assert facts["Probabilities hold for"].startswith(known)
    assert limits["text"]


def test_an_onnx_file_says_of_which_checkpoint_it_is_and_its_licence():
    export = {"checkpoint": "best.pth@0a1b2c3d", "precision": "int8"}
    network = own_card(CHECKPOINT | {"export": export, "licence": "none at all"})[1]
    facts = dict(network["rows"])
    assert facts["Exported"] == "from best.pth@0a1b2c3d, in int8"
    assert facts["Licence"] == "none at all"


def test_films_are_counted_by_class_and_by_origin(card):
    by_class = of("Films by class and source", card)
    assert by_class["rows"][0] == ["COVID-19", "covid-chestxray", "274", "34", "34"]
    origins = of("Films by source, hospital, country and licence", card)
    assert origins["head"] == ORIGINS["head"]
    assert origins["rows"] == [["rsna", "NIH | Bethesda", "terms of RSNA", "1,598", "75", "74"]]


def test_every_number_stands_with_its_interval_and_the_command_that_printed_it(card, metrics):
    measured = of(RECORD["Images"], card)
    assert f"{RECORD['Command']}, at {RECORD['Program']}" in measured["text"][0]
    assert metrics["verdicts"][0] in measured["text"]
    rows = {name: cells for name, *cells in measured["rows"]}
    within, sets = metrics["within_source"], metrics["prediction_sets"]
    point = metrics["operating_points"]["normal"]
    chosen = f"validation: {point['rate']} {point['wished']:g}"
    for name, metric in {
        "Within-source AUROC, mean of the classes": within["macro_auroc"],
        "Within-source AUROC, COVID-19 against the rest": within["comparisons"][
            "COVID-19 against the rest"
        ]["auroc"],
        "Accuracy": metrics["accuracy"],
        "Macro AUROC, the source alone": metrics["cheats"]["the source alone"]["macro_auroc"],
        "COVID-19: Recall (sensitivity)": metrics["per_class"]["COVID-19"]["recall"],
        f"normal at p >= {point['threshold']:.3f} ({chosen}): specificity": point["specificity"],
        "COVID-19: in its prediction set at 0.9": sets["classes"]["COVID-19"]["covered"],
    }.items():
        assert rows[name] == [text(metric), interval(metric)]
    found = metrics["per_class"]["normal"]["specificity"]
    low, high = 1 - found["high"], 1 - found["low"]
    called = rows["normal: share of the others that is called so"]
    assert called == [f"{1 - found['value']:.3f}", f"{low:.3f} to {high:.3f}"]


def test_what_was_measured_on_another_network_says_so(card):
    other = of(f"{RECORD['Images']}, by another network", card)
    assert other["text"][1] == "Of the network without b, 96 x 96 pixels, not of this one."


def test_what_has_no_value_is_not_listed(metrics):
    metrics["macro_auroc"] = {"value": None, "low": None, "high": None}
    card = released_card("a.onnx@1a2b3c4d", CHECKPOINT, ABOUT, ORIGINS, [metrics])
    assert "Macro AUROC" not in dict(row[:2] for row in of(RECORD["Images"], card)["rows"])


def test_readme_shows_all_of_it_as_markdown_and_a_name_stays_a_name(card, tmp_path):
    whole = {"file": "a.onnx", "sha256": "1a2b", "licence": "Research only.", "sections": card}
    page = write_card(tmp_path, whole).read_text(encoding="utf-8")
    assert page.startswith("# a.onnx\n\n> **This is a research tool, not a medical device.**")
    assert "SHA-256 1a2b. Research only." in page
    for section in card:
        assert f"\n## {section['title']}\n\n" in page.replace("\\", "")
    origin = r"| rsna | NIH \| Bethesda | terms of RSNA | 1,598 | 75 | 74 |"
    assert f"| Source | Hospital | Licence | train | val | test |\n| {'--- | ' * 6}".strip() in page
    assert f"|\n{origin}\n" in page
    assert "\n\n\n" not in page

import json
from copy import deepcopy

import pytest

from tests.helpers.example_metrics import ABOUT, CHECKPOINT, ORIGINAL, example
from util.report.model_card import TITLES, model_card


def answers(
    checkpoint=CHECKPOINT, about=ABOUT, split="test", metrics=None
) -> dict[int, str | None]:
    card = model_card(checkpoint, about, metrics or example(), split)
    return {row["item"]: row["answer"] for row in card["claim"]}


def changed(original: dict, *path: str, value) -> dict:
    copy = deepcopy(original)
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy


def test_every_item_of_claim_is_named_once_in_order():
    assert list(answers()) == list(range(1, 45)) == list(TITLES)


@pytest.mark.parametrize("item", [2, 3, 4, 5, 6, 11, 14, 15, 16, 17, 18, 21, 34, 43, 44])
def test_what_no_artefact_holds_stays_without_an_answer(item):
    assert answers()[item] is None


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (7, "covid-chestxray, rsna"),
        (8, "Views: PA, AP, AP Supine, AP Erect. Left out, by reason (rows): class ... is neither"),
        (9, "96 x 96 pixels, grayscale, from 256 x 256"),
        (10, "another label than normal, pneumonia, COVID-19"),
        (12, "unknown (sex 130, age 130 of 1,181 images)"),
        (13, "AP 433, AP Supine 81, PA 667"),
        (
            19,
            "By patient, each class and source alike; share of test 0.1, of validation 0.1; seed",
        ),
        (20, "(2 groups found)"),
        (23, "torch 2.15.0"),
        (24, "random weights"),
        (25, "optimizer adamw, lr 0.001"),
        (26, "epoch 37 of at most 40, validation macro F1 0.799"),
        (30, "All classes together, Probes, Subgroups"),
        (35, "117 images of 77 patients were evaluated."),
        (35, "196 rows were left out"),
    ],
)
def test_an_answer_says_what_the_artefacts_hold(item, words):
    assert words in answers()[item]


@pytest.mark.parametrize(
    ("augmented", "words"),
    [(False, "one network, which sees each image once"), (True, "mirror image and four small")],
)
def test_the_card_says_how_often_an_image_is_seen(augmented, words):
    checkpoint = changed(CHECKPOINT, "test_time_augmentation", value=augmented)
    assert words in answers(checkpoint)[27]
    assert ("with one view" in answers(checkpoint)[26]) == augmented
    assert words in model_card(checkpoint, ABOUT, example(), "test")["model"]["Prediction"]


def test_the_original_has_answers_for_what_its_checkpoint_says_only():
    found = answers(ORIGINAL, None, None)
    for item in (7, 8, 12, 13, 19, 20, 23, 24, 25, 26, 32, 33, 36):
        assert found[item] is None
    assert "256 x 256 pixels, colour" in found[9]


@pytest.mark.parametrize(
    ("weights", "backbone", "words"),
    [
        (None, "IMAGENET1K_V2", "trunk from IMAGENET1K_V2, the rest random"),
        (None, None, "random weights"),
        ("a.pth", "IMAGENET1K_V2", "from a.pth"),
    ],
)
def test_the_card_says_what_the_weights_started_from(weights, backbone, words):
    checkpoint = deepcopy(CHECKPOINT)
    checkpoint["config"] |= {"weights": weights, "backbone_weights": backbone}
    assert words in model_card(checkpoint, ABOUT, example(), "test")["model"]["Initialization"]


def test_a_split_of_the_training_data_set_is_internal():
    found = answers()
    assert "the split test of the data set that it was trained on" in found[32]
    assert found[33] is None


def test_another_data_set_is_not_called_external_by_itself():
    found = answers(about=changed(ABOUT, "fingerprint", value="0" * 64))
    assert found[32] is None
    assert found[33].startswith("Not known")


def test_a_source_held_out_is_external_on_the_test_split_alone():
    about = changed(ABOUT, "arguments", "hold_out_source", value="rsna")
    assert "Yes: the source rsna" in answers(about=about)[33]
    assert answers(about=about, split="val")[33] is None
    assert "test holds the source rsna alone" in answers(about=about)[19]


def test_labels_of_one_class_stand_together():
    checkpoint = changed(CHECKPOINT, "mapping", value={"a": 0, "b": 1, "c": 1})
    assert model_card(checkpoint, ABOUT, example(), "test")["model"]["Classes"] == "a, b + c"


def test_classes_that_are_mostly_of_one_source_are_a_limit():
    limits = model_card(CHECKPOINT, ABOUT, example(), "test")["limits"]
    told = "100 % of COVID-19 from covid-chestxray, 98 % of normal from rsna, 79 % of pneumonia"
    assert sum(told in limit for limit in limits) == 1
    one = changed(ABOUT, "counts", value=ABOUT["counts"][:2])
    assert not any(
        "In this data set" in limit
        for limit in model_card(CHECKPOINT, one, example(), "test")["limits"]
    )


def test_the_tables_count_every_image_of_every_split():
    card = model_card(CHECKPOINT, ABOUT, example(), "test")
    total = [sum(row[k] for row in card["counts"]["rows"]) for k in (2, 3, 4)]
    assert total == [946, 118, 117]
    for column in ("View", "Sex", "Age"):
        rows = [row for row in card["people"]["rows"] if row[0] == column]
        assert [sum(row[k] for row in rows) for k in (2, 3, 4)] == total


def test_synthetic_data_are_called_synthetic():
    about = changed(ABOUT, "arguments", "sample", value=True)
    assert "drawn" in model_card(CHECKPOINT, about, example(), "test")["data"]["Synthetic"]
    assert "Synthetic" not in model_card(CHECKPOINT, ABOUT, example(), "test")["data"]


@pytest.mark.parametrize("about", [ABOUT, None])
def test_the_card_is_ready_for_json(about):
    card = model_card(CHECKPOINT, about, example(), "test")
    assert json.loads(json.dumps(card)) == card

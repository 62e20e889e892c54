import json
from copy import deepcopy

import pytest

from tests.helpers.example_metrics import ABOUT, CHECKPOINT, ORIGINAL, example
from util.report.facts import model_facts
from util.report.model_card import model_card


def answers(checkpoint=CHECKPOINT, about=ABOUT, split="test") -> dict[int, str]:
    return {row["item"]: row["answer"] for row in card(checkpoint, about, split)["claim"]}


def changed(original: dict, *path: str, value) -> dict:
    copy = deepcopy(original)
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (28, "Within-source AUROC, over pairs of images of one source only"),
        (10, "another label than normal, pneumonia, COVID-19"),
        (12, "unknown (sex 130, age 130 of 1,181 images)"),
        (13, "AP 433, AP Supine 81, PA 667"),
        (20, "(2 groups found)"),
        (35, "Evaluated: 102 images of 77 patients."),
        (35, "left out: 196 rows"),
    ],
)
def test_an_answer_says_what_the_artefacts_hold(item, words):
    assert words in answers()[item]


def card(checkpoint=CHECKPOINT, about=ABOUT, split="test") -> dict:
    return model_card(model_facts(checkpoint), checkpoint, about, example(), split)


@pytest.mark.parametrize(
    ("part", "name", "words"),
    [
        ("model", "Architecture", ", 37,665,603 parameters"),
        ("model", "Input", "96 x 96 pixels, grayscale, from 64 x 64"),
        ("model", "Training", "optimizer adamw, lr 0.001"),
        ("model", "Scores here", "within-source AUROC 0."),
        ("model", "Selection", "epoch 37 of at most 40, validation macro F1 0.799. Validation"),
        ("model", "Selection", "chooses the epoch by its macro F1; the test split takes no part"),
        ("model", "Trained with", "torch 2.15.0"),
        ("data", "Sources", "covid-chestxray, rsna"),
        ("data", "Views asked for", "PA, AP, AP Supine, AP Erect"),
        ("data", "Rows left out", "class ... is neither"),
        ("data", "Split", "each class and source alike; part of test 0.1, of validation 0.1;"),
    ],
)
def test_the_card_says_what_the_checkpoint_and_the_data_set_hold(part, name, words):
    assert words in card()[part][name]


@pytest.mark.parametrize(
    ("augmented", "words"),
    [(False, "one network, which sees each image once"), (True, "mirror image and four small")],
)
def test_the_card_says_how_often_an_image_is_seen(augmented, words):
    checkpoint = changed(CHECKPOINT, "test_time_augmentation", value=augmented)
    model = card(checkpoint)["model"]
    assert words in model["Prediction"]
    assert ("without test-time augmentation" in model["Selection"]) == augmented


@pytest.mark.parametrize(
    ("chosen_by", "within", "words"),
    [
        ("macro_f1", 0.61, "validation within-source AUROC 0.610, macro F1 0.799. Validation"),
        ("within_source_auroc", 0.61, "validation within-source AUROC 0.610. Validation chooses"),
        ("loss", float("nan"), "validation loss 0.731. Validation chooses the epoch by its loss;"),
    ],
)
def test_the_card_says_by_which_score_the_epoch_was_chosen(chosen_by, within, words):
    metrics = CHECKPOINT["metrics"] | {"within_source_auroc": within}
    checkpoint = CHECKPOINT | {"chosen_by": chosen_by, "metrics": metrics}
    assert words in card(checkpoint)["model"]["Selection"]


def test_the_original_has_answers_for_what_its_checkpoint_says_only():
    assert list(answers(ORIGINAL, None, None)) == [10, 28, 29, 35]
    model = card(ORIGINAL, None, None)["model"]
    assert "256 x 256 pixels, colour" in model["Input"]
    names = ("Initialization", "Training", "Trainings before", "Selection", "Trained with")
    for name in names:
        assert model[name] == "not in the checkpoint"


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
    assert words in card(checkpoint)["model"]["Initialization"]


def test_the_card_tells_all_trainings_that_the_weights_have_behind_them():
    checkpoint = deepcopy(CHECKPOINT)
    checkpoint["config"] |= {"weights": None, "keep_weights": 0.0}
    assert card(checkpoint)["model"]["Trainings before"] == "none"
    first = {"fingerprint": "x", "sources": {"far": 1900, "near": 1}, "fold": None}
    config = {"epochs": 9, "sampling": "shuffle", "width": 96, "height": 64, "weights": "old.pth"}
    older = first | {"sources": None}
    checkpoint["started_from"] = [first | {"config": config}, older]
    checkpoint["config"] |= {"weights": "first/best.pth", "keep_weights": 0.5}
    model = card(checkpoint)["model"]
    assert "keep_weights 0.5" in model["Training"]
    told = "from old.pth, the head drawn at random where the classes differ, 96 x 64 pixels, epochs"
    told += " 9, sampling shuffle, on far (1,900); near (1). Before that: "
    assert model["Trainings before"] == f"{told}settings not known, on unknown images"
    checkpoint["started_from"].pop()
    assert card(checkpoint)["model"]["Trainings before"] == f"{told}not known"
    taught = deepcopy(CHECKPOINT) | {"taught_by": [older]}
    taught["config"] |= {"weights": None, "distil": "folds"}
    words = "Of its teachers: settings not known, on unknown images"
    assert card(taught)["model"]["Trainings before"] == f"none. {words}"
    taught["taught_by"] = []
    assert card(taught)["model"]["Trainings before"] == "none. Of its teachers: none"
    student = first | {"config": {"epochs": 9, "distil": "folds"}, "taught_by": [older]}
    taught["started_from"] = [student]
    del taught["taught_by"]  # of a version that kept none
    found = card(taught)["model"]["Trainings before"]
    assert f"distil folds, on far (1,900); near (1) ({words}). Of its teachers: not known" in found
    del checkpoint["started_from"]  # of a version that kept none
    assert card(checkpoint)["model"]["Trainings before"] == "not known"


def test_a_split_of_the_training_data_set_is_internal():
    found = answers()
    assert "the split test of the data set that it was trained on" in found[32]
    assert 33 not in found


def test_another_data_set_is_not_called_external_by_itself():
    found = answers(about=changed(ABOUT, "fingerprint", value="0" * 64))
    assert 32 not in found
    assert found[33].startswith("Not known")


def test_a_source_left_out_is_external():
    checkpoint = changed(CHECKPOINT, "config", "leave_out", value=["rsna"])
    found = answers(checkpoint=checkpoint, split="left-out")
    assert "Yes: rsna, which" in found[33]
    assert 32 not in found


def test_labels_of_one_class_stand_together():
    checkpoint = CHECKPOINT | {"mapping": {"a": 0, "b": 1, "c": 1}, "prior": [0.4, 0.6]}
    assert card(checkpoint)["model"]["Classes"] == "a, b + c"


def test_classes_that_are_mostly_of_one_source_are_a_limit():
    limits = card()["limits"]
    told = "100 % of COVID-19 from covid-chestxray, 98 % of normal from rsna, 79 % of pneumonia"
    assert sum(told in limit for limit in limits) == 1
    one = changed(ABOUT, "counts", value=ABOUT["counts"][:2])
    assert not any("In this data set" in limit for limit in card(about=one)["limits"])


def test_the_tables_count_every_image_of_every_split():
    counts, people = card()["counts"]["rows"], card()["people"]["rows"]
    total = [sum(row[k] for row in counts) for k in (2, 3, 4)]
    assert total == [946, 118, 117]
    for column in ("View", "Sex", "Age"):
        rows = [row for row in people if row[0] == column]
        assert [sum(row[k] for row in rows) for k in (2, 3, 4)] == total


def test_labels_that_reviewers_changed_are_told():
    corrections = {"changed": 3, "left_out": 1, "films": []}
    data = card(about=ABOUT | {"corrections": corrections})["data"]
    assert data["Decided by reviewers"] == "3 labels changed, 1 film left out"
    assert "Decided by reviewers" not in card()["data"]


def test_synthetic_data_are_called_synthetic():
    about = changed(ABOUT, "arguments", "sample", value=True)
    assert "drawn" in card(about=about)["data"]["Synthetic"]
    assert "Synthetic" not in card()["data"]


@pytest.mark.parametrize("about", [ABOUT, None])
def test_the_card_is_ready_for_json(about):
    found = card(about=about)
    assert json.loads(json.dumps(found)) == found

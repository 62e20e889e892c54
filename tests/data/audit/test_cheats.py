"""What a cheat names the class by, and how often that is right."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from data.audit.cheats import (
    CHEATS,
    chances_by,
    chances_by_statistics,
    chances_of_cheats,
    cheat_scores,
    shape_class,
    source_in_pictures,
)
from data.images.picture_statistics import STATISTICS


def table(*pairs):
    """Metadata rows of these (label, source) pairs."""
    return pd.DataFrame(pairs, columns=["label", "source"], dtype=str)


TRAIN = table(
    *[("COVID-19", "covid")] * 3, ("normal", "covid"), *[("normal", "rsna")] * 4,
    *[("pneumonia", "rsna")] * 3,
)  # fmt: skip


def named_by(column, train, images):
    labels = sorted(set(train["label"]))
    return [labels[k] for k in chances_by(column, train, images, labels).argmax(1)]


def test_a_row_is_named_after_the_commonest_label_of_its_source():
    other = table(("normal", "covid"), ("pneumonia", "rsna"), ("COVID-19", "rsna"))
    assert named_by("source", TRAIN, other) == ["COVID-19", "normal", "normal"]


def test_a_source_that_training_does_not_have_gets_the_commonest_label_of_all():
    assert named_by("source", TRAIN, table(("COVID-19", "shenzhen"))) == ["normal"]


@pytest.mark.parametrize("turn", [1, -1])
def test_ties_go_to_the_first_label_by_name(turn):
    train = table(("pneumonia", "a"), ("normal", "a"))[::turn]
    assert named_by("source", train, table(("x", "a"), ("x", "b"))) == ["normal", "normal"]


def test_guesses_come_in_the_order_of_the_rows_whatever_their_index():
    other = table(("x", "covid"), ("x", "rsna"), ("x", "covid"))[::-1].iloc[1:]
    assert named_by("source", TRAIN, other) == ["normal", "COVID-19"]


def test_any_column_can_be_asked_and_a_split_without_a_row_gives_no_guess():
    assert named_by("view", TRAIN.assign(view="PA"), TRAIN.assign(view="PA"))[:1] == ["normal"]
    assert named_by("source", TRAIN, table()) == []


def test_chances_are_the_shares_of_the_classes_in_train():
    chances = chances_by("source", TRAIN, table(("x", "rsna"), ("x", "new")), ["normal", "other"])
    np.testing.assert_allclose(chances, [[4 / 7, 0], [5 / 11, 0]])


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((1024, 1024), "1024 x 1024"),
        ((1100, 1000), "1024 x 1024"),
        ((1400, 1024), "1448 x 1024"),
        ((700, 500), "724 x 512"),
        ((1, 1), "1 x 1"),
    ],
)
def test_files_of_nearly_one_size_are_of_one_shape(sides, expected):
    assert shape_class(*sides) == expected


def films(labels, sources, seed=0, **numbers):
    """Metadata with random numbers of each picture, but for those that are given."""
    n = len(labels)
    random = np.random.default_rng(seed).normal(size=(n, len(STATISTICS)))
    return pd.DataFrame(random, columns=[*STATISTICS]).assign(
        label=labels, source=sources, view="PA", patient_id=[f"p{k}" for k in range(n)],
        **{"width": 1000, "height": 1000} | numbers,
    )  # fmt: skip


def exposed(n, seed):
    """Of `n` films each label is known by its brightness, nearly, and each source by its noise."""
    random = np.random.default_rng(seed)
    labels, sources = random.choice(["a", "b", "c"], n), random.choice(["x", "y"], n)
    brightness = 50.0 * (labels == "b") + 100 * (labels == "c") + random.normal(size=n)
    return films(labels, sources, seed, brightness=brightness, noise=1.0 * (sources == "y"))


def test_picture_statistics_name_what_a_linear_model_can_read_off_them():
    train, images, labels = exposed(200, 0), exposed(100, 1), ["c", "a", "b", "unknown to train"]
    chances = chances_by_statistics("label", train, images, labels)
    np.testing.assert_allclose(chances.sum(1), 1)
    assert (chances[:, 3] == 0).all()
    assert (np.array(labels)[chances.argmax(1)] == images["label"]).mean() > 0.95
    scale = StandardScaler().fit(train[[*STATISTICS]])
    model = LogisticRegression().fit(scale.transform(train[[*STATISTICS]]), train["label"])
    wanted = model.predict_proba(scale.transform(images[[*STATISTICS]]))
    np.testing.assert_allclose(chances[:, [1, 2, 0]], wanted, atol=1e-3)


def test_one_label_in_train_is_certain():
    train = films(["a"] * 5, ["x"] * 5)
    assert chances_by_statistics("label", train, train, ["b", "a"]).tolist() == [[0, 1]] * 5


def test_a_cheat_whose_numbers_are_not_known_is_left_out():
    known = exposed(30, 0)
    unknown = known.drop(columns=["blocks"])
    assert tuple(chances_of_cheats(known, known, ["a"])) == CHEATS
    for pair in ((known, unknown), (unknown, known)):
        assert list(chances_of_cheats(*pair, ["a"])) == ["source", "view"]
        assert source_in_pictures(*pair) is None


def test_the_shape_of_a_file_is_a_cheat_of_its_own():
    labels, widths = ["a", "b"] * 10, [1000, 500] * 10
    train = films(labels, ["x"] * 20, width=widths)
    images = films(labels, ["x"] * 20, width=[1040, 520] * 10)
    chances = chances_of_cheats(train, images, ["a", "b"])["file shape"]
    assert chances.tolist() == [[1, 0], [0, 1]] * 10


def test_scores_are_the_part_of_right_guesses_and_a_split_without_images_has_none():
    train, images = exposed(200, 0), films(["a", "a", "b"], ["x"] * 3)
    train["source"] = np.where(train["label"] == "a", "x", "y")
    scores = cheat_scores({"train": train, "val": images, "test": images[:0]})
    assert tuple(scores) == CHEATS
    assert list(scores["source"]) == ["val"]
    score = scores["source"]["val"]
    assert score["value"] == pytest.approx(2 / 3)
    assert score["low"] < score["value"] < score["high"]


def test_what_pictures_show_of_the_source_stands_beside_the_commonest_source():
    train, images = exposed(200, 0), exposed(100, 1)
    found = source_in_pictures(train, images)
    assert found["accuracy"]["value"] > 0.95
    assert found["accuracy"]["low"] < found["accuracy"]["value"]
    commonest = train["source"].mode()[0]
    assert found["commonest"] == pytest.approx((images["source"] == commonest).mean())
    new = images.assign(source=["new", *images["source"][1:]])
    assert source_in_pictures(train, new)["images"] == 99  # train does not have that source


def test_where_there_is_one_source_nothing_of_it_can_be_shown():
    train, images = exposed(50, 0), exposed(20, 1)
    assert source_in_pictures(train.assign(source="x"), images) is None
    assert source_in_pictures(train, images.assign(source="new")) is None

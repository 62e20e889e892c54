"""python3 -m benchmarks quality, with faked trainings: when one validates as well as asked."""

import sys
import time
from itertools import pairwise
from math import isnan
from pathlib import Path

import pandas as pd
import pytest

import benchmarks.__main__ as benchmarks
from benchmarks import measure
from benchmarks.recipes import quality
from benchmarks.recipes.variants import command


def run(*words):
    before, sys.argv = sys.argv, ["benchmarks", "quality", *words]
    try:
        args = benchmarks.arguments()
    finally:
        sys.argv = before
    return benchmarks.module_of("quality").run(args)


@pytest.fixture
def trained(monkeypatch):
    """Trainings take a minute for each epoch, and get 0.01 better from 0.7; plain gets no better.
    What python was given for each."""
    calls = []

    def fake(*words, interval, over):
        calls.append([str(word) for word in words])
        plain = words[0] != "train.py"
        of = dict(pairwise(words))
        folder = words[4] if plain else of["--ckpts-dir"] / of["--name"]
        folder.mkdir(parents=True)
        scores = []
        for epoch in range(of["--epochs"]):
            if over():
                break
            scores.append(0.7 if plain else 0.7 + 0.01 * epoch)
            pd.DataFrame({"val_macro_auroc": scores}).to_csv(folder / "history.csv")
        return measure.Measured(60.0 * len(scores), 0, 0)

    monkeypatch.setattr(quality, "measure", fake)
    return calls


def test_a_training_ends_where_it_is_as_good_as_asked(trained):
    first, second = run("--recipes", "ours", "quick", "--epochs", "40", "20", "--score", "0.795")
    assert (first["minutes"], first["epochs"], first["of first"]) == (11, 11, 1)
    assert first["best AUROC"] == pytest.approx(0.8)
    assert second["minutes"] == 11
    assert ["--size-warmup-epochs" in call for call in trained] == [False, True]


def test_one_that_never_is_has_no_minutes_and_the_others_are_compared_with_what_it_spent(trained):
    plain, quick = run("--epochs", "40", "20", "--score", "0.75")
    assert isnan(plain["minutes"])
    assert isnan(plain["of first"])
    assert (plain["spent"], plain["best AUROC"]) == (40, pytest.approx(0.7))
    assert (quick["minutes"], quick["of first"]) == (6, 6 / 40)


def test_each_seed_is_compared_with_its_own_and_said_at_once(trained, capsys):
    rows = run("--recipes", "ours", "quick", "--epochs", "9", "9", "--seeds", "3", "4")
    assert [(row["recipe"], row["seed"]) for row in rows] == [
        ("ours", 3), ("quick", 3), ("ours", 4), ("quick", 4),
    ]  # fmt: skip
    said = "quick, seed 4: minutes nan, spent 9, epochs 9, best AUROC 0.78\n"
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize("recipe", ["plain", "ours"])
def test_both_kinds_of_recipe_are_told_where_and_how_long(recipe, tmp_path):
    words = [str(word) for word in command(recipe, tmp_path / "run", 3, Path("data"), 96, 40)]
    together = " ".join(words)
    assert "data" in words
    assert "run" in together
    assert "--epochs 40" in together
    assert ("--random-seed 3" if recipe == "ours" else "--seed 3") in together


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--epochs", "40"], "--epochs: found 1; expected one for each of --recipes"),
        (["--epochs", "40", "0"], "--epochs: found 0; expected 1 or more"),
        (["--score", "1.5"], "--score: found 1.5; expected 0 to 1"),
    ],
)
def test_a_wrong_argument_is_one_line(words, error, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    assert stop.value.code == 2
    assert error in capsys.readouterr().err


def test_an_unknown_recipe_is_one_line():
    with pytest.raises(ValueError, match="--recipes: found best; expected some of original, plain"):
        run("--recipes", "best", "--epochs", "1")


def test_a_command_that_is_over_is_stopped_and_counts_to_there():
    asked, begun = iter([False, False, True]), time.perf_counter()
    taken = measure.measure(
        "-c", "import time; time.sleep(30)", interval=0.1, over=lambda: next(asked)
    )
    assert 0.2 <= taken.seconds < 5
    assert time.perf_counter() - begun < 20

"""A few hundred of the damaged files of tests/fuzz.py; python3 -m tests.fuzz reads thousands."""

import subprocess
import sys

import pytest

from data.images.gray import UnreadableImageError
from tests import fuzz
from tests.helpers.paths import ROOT


def test_damaged_files_give_an_image_or_a_reason_and_nothing_else():
    outcomes = fuzz.run(range(600), seed=1, workers=1)
    assert [outcome for outcome in outcomes if outcome.startswith("WRONG")] == []
    images = outcomes.count("image")
    assert 60 < images < 540  # the damage is neither too mild nor too heavy to tell anything


def test_the_same_seed_gives_the_same_files(tmp_path):
    files = fuzz.whole_files(tmp_path)
    assert fuzz.damage(files, 0, 7) == fuzz.damage(files, 0, 7) != fuzz.damage(files, 1, 7)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (None, "image"),
        (UnreadableImageError("{path}: not an image"), "unreadable: not an image"),
        (KeyError("Rows"), "WRONG: KeyError('Rows')"),
        (SystemExit(3), "WRONG: SystemExit(3)"),
    ],
)
def test_an_outcome_is_what_the_reader_does(tmp_path, monkeypatch, raised, expected):
    def read(path, enough):
        if raised is not None:
            raise (
                type(raised)(str(raised.args[0]).format(path=path))
                if isinstance(raised, UnreadableImageError)
                else raised
            )

    monkeypatch.setattr(fuzz, "read_radiograph", read)
    if fuzz.resource:
        monkeypatch.setattr(fuzz.resource, "setrlimit", lambda *_: None)
    assert fuzz.outcome(0, [b"x" * 99], 0, tmp_path) == expected


def test_the_command_prints_the_count_of_each_outcome():
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", "40", "--workers", "1"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    counts = [part.split() for part in printed.splitlines()[0].split(", ")]
    assert {kind for _, kind in counts} == {"image", "unreadable"}
    assert sum(int(count) for count, _ in counts) == 40

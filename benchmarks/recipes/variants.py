"""The recipes that are compared: train.py's own, as flags, and those of rivals.py."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import config
from util.flags import Parser, add_config
from util.training.resume import BEFORE, FREE

OURS = (
    *("--backbone-weights", "none", "--optimizer", "muon", "--lr", "3e-3"),
    *("--batch-size", 32, "--warmup-epochs", 4, "--test-time-augmentation"),
)
ADAMW = "--optimizer", "adamw", "--lr", "1e-3"
# Flags of train.py that follow those of OURS.
VARIANTS = {
    "ours": (),
    "one-view": ("--no-test-time-augmentation",),
    "adamw": ADAMW,
    "adamw-growing": (*ADAMW, "--augmentation-warmup-epochs", 25),
    "growing": ("--augmentation-warmup-epochs", 25),
    "balanced": ("--sampling", "balanced"),
    "balanced-source": ("--sampling", "balanced_source", "--patient-cap", 3),
    "effective": ("--loss-weights", "effective"),
    "no-weights": ("--loss-weights", "none"),
    "no-smoothing": ("--label-smoothing", 0),
    "no-warmup": ("--warmup-epochs", 0),
    "batch-16": ("--batch-size", 16, "--average-decay", 0.995),
    "batch-64": ("--batch-size", 64, "--average-decay", 0.98),
    "not-averaged": ("--average-decay", "none"),
    "float32": ("--precision", "float32"),
    "half-augmentation": (
        *("--rotation", 5, "--shift", 0.04, "--scale", 0.95, 1.07, "--jitter", 0.15),
    ),
    "clipped": ("--clip-norm", 1),
    "quick": ("--size-warmup-epochs", 12),
}
RIVALS = ("original", "plain", "plain-zero-init")  # in benchmarks.recipes.rivals


def flags(recipe: str) -> tuple:
    """The flags of train.py for one of VARIANTS."""
    return OURS + VARIANTS[recipe]


def check_known(recipes: Iterable[str]) -> None:
    if unknown := set(recipes) - {*VARIANTS, *RIVALS}:
        known = ", ".join([*RIVALS, *VARIANTS])
        raise ValueError(f"--recipes: found {min(unknown)}; expected some of {known}")


def command(recipe: str, folder: Path, seed: int, dataset: Path, size: int, epochs: int) -> tuple:
    """What python is given to train a recipe, with images of size x size, in a run's folder."""
    if recipe not in VARIANTS:
        words = ("-m", "benchmarks.recipes.rivals", recipe, dataset, folder)
        return (*words, "--seed", seed, "--size", size, "--epochs", epochs)
    words = ("train.py", "--dataset", dataset, "--epochs", epochs)
    words += ("--width", size, "--height", size, "--random-seed", seed)
    return (*words, "--ckpts-dir", folder.parent, "--name", folder.name, *flags(recipe))


def digest(recipe: str) -> str:
    """Eight letters that stand for all settings of a recipe and differ between recipes."""
    if recipe in VARIANTS:
        settings = asked(flags(recipe))
    else:
        from benchmarks.recipes.rivals import (
            RECIPES,  # seconds of imports, so only where they are due
        )

        settings = RECIPES[recipe]
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]


def asked(words: Sequence[object]) -> dict[str, object]:
    """The settings that flags of train.py give, in order, without those that change no result.

    Nor one that has the value which it had before it had a name: a run of that time is the same.
    """
    parser = Parser(prog="train.py")
    add_config(parser, config)
    settings = vars(parser.parse_args([str(word) for word in words]))
    names = settings.keys() - (FREE - {"test_time_augmentation"}) - {"given"}
    return {
        name: settings[name]
        for name in sorted(names)
        if name not in BEFORE or settings[name] != BEFORE[name]
    }

"""What the probes say together: does a model look at the patient, or at what came with the image?

Only what is done to an image can call a model out: without the lungs it must not know the disease.
Heat maps and what the features know of the source point somewhere, and prove nothing: a map of few
cells is blurred, and features may know what the answer does not use.

What decides is the AUROC. Black shifts all probabilities, so that a network, honest or not, often
names every changed image alike and its accuracy falls to guessing; whether it still ranks them by
class shows what it reads. Guesses have an AUROC of 0.5, whatever the sizes of the classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from util.intervals import bootstrap, percentile_interval

CENTRE, BORDER, BLUR = "centre blacked out", "border blacked out", "blurred to 16 pixels"
GUESSING = 0.5  # the AUROC of guesses
# The part of a model's own lead over guessing that it may keep without the lungs: what sticks out
# of the lung box, and the patient's build, tell a little in any large test.
SPARED = 0.1
FINE = 6  # cells along a side from which a heat map can tell the border from the lungs
OPEN = (
    "No probe calls the model out. That is no proof: a shortcut inside the lungs passes them all."
)


class Verdict(NamedTuple):
    """What one probe says, in a sentence with its numbers, and whether it calls the model out."""

    probe: str
    called_out: bool
    sentence: str


def judge(
    metrics: dict, cheats: dict, probes: dict, heat: dict, source_in_features: dict
) -> list[Verdict]:
    """A verdict of each probe in the order of their weight; before them, if none accuses, OPEN.

    metrics: of `util.metrics.evaluate_predictions`, on the images as they are. probes: name ->
    {"accuracy", "macro_auroc"} on the changed ones; cheats: name -> {"accuracy"}. heat: of
    `heat_outside_lungs`. source_in_features: of `util.linear_probe`. Each number is {"value",
    "low", "high"}. Where no AUROC is defined, as with images of one class, nothing is called out.
    """
    found = [
        _model(metrics),
        _without_lungs(metrics, probes[CENTRE]),
        _without_border(metrics, probes),
        _blurred(metrics, probes[BLUR]),
        *(_cheat(metrics, name, scores) for name, scores in cheats.items()),
        _heat(heat),
        *(_features(name, scores) for name, scores in source_in_features.items()),
    ]
    said = [verdict for verdict in found if verdict]
    if not any(verdict.called_out for verdict in said):
        said.insert(0, Verdict("all", False, OPEN))
    return said


def called_out(verdicts: Sequence[Verdict]) -> list[str]:
    """The probes that call the model out, by name; empty for none."""
    return [verdict.probe for verdict in verdicts if verdict.called_out]


def heat_outside_lungs(
    shares: np.ndarray,
    box_outside: float,
    grid: tuple[int, int],
    patients: Sequence[str],
    seed: int = 0,
) -> dict:
    """The mean of `shares` (n,), each map's part outside the lung box, with its 95 % interval.

    box_outside: the part of the area that is outside. grid: rows and columns of the maps. patients:
    whose image each is, n names; they are drawn for the interval. NaN, a map without heat, does not
    count.
    """
    known = ~np.isnan(shares)
    number = {"value": None, "low": None, "high": None}
    if known.any():
        shares, patients = np.asarray(shares)[known], np.asarray(patients)[known]
        drawn = bootstrap(lambda weights: weights @ shares / weights.sum(1), patients, seed=seed)
        low, high = percentile_interval(drawn, float(shares.mean()))
        number = {"value": float(shares.mean()), "low": low, "high": high}
    how = (
        f"a map that is even everywhere has {box_outside:.2f}; below it the model looks at the"
        f" lungs more than elsewhere. Maps have {grid[0]} x {grid[1]} cells"
    )
    if min(grid) < FINE:
        how += ", too coarse to tell lungs from border well"
    return {
        **number,
        "box_outside": box_outside,
        "grid": list(grid),
        "maps": int(known.sum()),
        "how": how,
    }


def _model(metrics: dict) -> Verdict | None:
    if _knows(metrics, metrics):
        return None
    sentence = (
        f"The model itself {_scores(metrics)}, which is not shown to be better than guessing. The"
        " probes cannot say what it looks at."
    )
    return Verdict("the model itself", False, sentence)


def _without_lungs(metrics: dict, scores: dict) -> Verdict:
    images = np.sum(metrics["confusion_matrix"], axis=1)
    found = (
        f"With the lungs blacked out the model {_scores(scores)}; guessing reaches"
        f" {100 * images.max() / images.sum():.0f} and {GUESSING:.2f}"
    )
    if _knows(scores, metrics):
        return Verdict(CENTRE, True, f"{found}. That much it reads off the border.")
    return Verdict(CENTRE, False, f"{found}. The border alone is not shown to give the class away.")


def _without_border(metrics: dict, probes: dict) -> Verdict:
    scores, without_lungs = probes[BORDER]["macro_auroc"], probes[CENTRE]["macro_auroc"]
    found = f"With all but the lungs blacked out the model {_scores(probes[BORDER])}"
    # Both are black in part, so that black alone does not explain that one is worse.
    if _knows(probes[CENTRE], metrics) and scores["high"] < without_lungs["low"]:
        sentence = f"{found}, worse than without the lungs. It needs the border more than these."
        return Verdict(BORDER, True, sentence)
    if _knows(probes[BORDER], metrics):
        return Verdict(BORDER, False, f"{found}{_before(metrics)}. The lungs tell it the class.")
    sentence = f"{found}{_before(metrics)}. It is not shown to know the class from the lungs:"
    return Verdict(BORDER, False, f"{sentence} it may need the border, or not stand the black.")


def _blurred(metrics: dict, scores: dict) -> Verdict:
    found = f"Blurred to 16 pixels the model {_scores(scores)}{_before(metrics)}"
    if _knows(scores, metrics):
        found += ". So much comes from brightness and layout"
    return Verdict(BLUR, False, f"{found}.")


def _cheat(metrics: dict, name: str, scores: dict) -> Verdict:
    alone, own = scores["accuracy"]["value"], metrics["accuracy"]
    told = f"{name[:1].upper()}{name[1:]} would name {100 * alone:.0f} of 100 images right"
    if own["low"] > alone:
        return Verdict(name, False, f"{told}; the model is ahead with {_of_100(own)}.")
    sentence = f"{told}; the model, with {_of_100(own)}, is not shown to know more."
    return Verdict(name, False, sentence)


def _heat(heat: dict) -> Verdict | None:
    if heat["value"] is None:
        return None
    found = (
        f"Of the heat of the maps {_interval(heat)} lies outside the lung box, which leaves"
        f" {heat['box_outside']:.2f} of the area outside"
    )
    if min(heat["grid"]) < FINE:
        rows, columns = heat["grid"]
        found += f"; with {rows} x {columns} cells that says little"
    elif heat["low"] > heat["box_outside"]:
        found += ": the model points away from the lungs"
    return Verdict("heat outside the lungs", False, f"{found}.")


def _features(name: str, scores: dict) -> Verdict | None:
    auroc = scores["auroc"]
    if auroc["value"] is None:
        return None
    knows = "know" if auroc["low"] > GUESSING else "are not shown to know"
    sentence = (
        f"Within {name} the features {knows} the source of an image: AUROC {_interval(auroc)},"
        f" {GUESSING:.2f} is chance."
    )
    return Verdict(f"source in the features of {name}", False, sentence)


def _knows(scores: dict, metrics: dict) -> bool:
    """Whether more than a part of the model's own lead over guessing is left, beyond doubt."""
    own, low = metrics["macro_auroc"]["value"], scores["macro_auroc"]["low"]
    return low is not None and low > GUESSING + SPARED * max(0, own - GUESSING)


def _scores(scores: dict) -> str:
    auroc = scores["macro_auroc"]
    ranks = "undefined" if auroc["value"] is None else _interval(auroc)
    return f"names {_of_100(scores['accuracy'])} images right, AUROC {ranks}"


def _before(metrics: dict) -> str:
    accuracy, auroc = metrics["accuracy"]["value"], metrics["macro_auroc"]["value"]
    ranks = "undefined" if auroc is None else f"{auroc:.2f}"
    return f" (on whole images {100 * accuracy:.0f} and {ranks})"


def _interval(entry: dict) -> str:
    return "{value:.2f} ({low:.2f} - {high:.2f})".format(**entry)


def _of_100(accuracy: dict) -> str:
    numbers = [100 * accuracy[key] for key in ("value", "low", "high")]
    return "{:.0f} of 100 ({:.0f} - {:.0f})".format(*numbers)

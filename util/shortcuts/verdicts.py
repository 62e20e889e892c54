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

from util.metrics.intervals import UNDEFINED, Metric, bootstrap, metric, percentile_interval
from util.shortcuts.probes import BLURRED, LUNGS, WITHOUT_BORDER, WITHOUT_CENTRE

GUESSING = 0.5  # the AUROC of guesses
# The part of a model's own lead over guessing that it may keep without the lungs: what sticks out
# of the lung box, and the patient's build, give a little away in any large test.
SPARED = 0.1
FINE = 6  # cells along a side from which a heat map can tell the border from the lungs
LEADS = {"accuracy": "accuracy", "macro_f1": "macro F1", "macro_auroc": "macro AUROC"}


class Verdict(NamedTuple):
    """What one probe says, in a sentence with its numbers, and whether it calls the model out."""

    probe: str
    called_out: bool
    sentence: str


def judge(
    metrics: dict, cheats: dict, probes: dict, heat: dict | None, source_in_features: dict
) -> list[Verdict]:
    """A verdict of each probe in the order of their weight.

    metrics: of `evaluate_predictions`, on the images as they are, and `within_source` of the
    function of that name. probes: name ->
    {"accuracy", "macro_auroc"} on the changed ones. cheats: name -> {"accuracy", "lead"}, the
    second what the model has more of each of LEADS, paired by patient as in `compare`.
    heat: of `heat_outside_lungs`. source_in_features: of linear_probe.py. Each number is
    {"value", "low", "high"}. Of a model that is not shown to know a class nothing is taken away,
    so that the three probes have no verdict. Without the network there are no probes, no heat and
    perhaps no features.
    """
    verdicts = [*(_cheat(name, scores) for name, scores in cheats.items()), _heat(heat)]
    verdicts += [_features(name, scores) for name, scores in source_in_features.items()]
    if probes and _tested(metrics):
        verdicts = [
            _without_lungs(metrics, probes[WITHOUT_CENTRE]),
            _without_border(metrics, probes),
            _blurred(metrics, probes[BLURRED]),
            *verdicts,
        ]
    return [verdict for verdict in (_within_source(metrics), *verdicts) if verdict]


def called_out(verdicts: Sequence[Verdict]) -> list[str]:
    """The probes that call the model out, by name; empty for none."""
    return [verdict.probe for verdict in verdicts if verdict.called_out]


def headline(
    metrics: dict, verdicts: Sequence[Verdict], lacking: Sequence[str] = ()
) -> dict[str, str]:
    """What all verdicts come to: {"state": "called out", "not called out" or "not tested",
    "sentence": the same in words}.

    lacking: what is left out as the network is not here, in words.
    """
    state, end = "not tested", ""
    if lacking:
        why = f"the network itself is not here. Left out: {', '.join(lacking)}"
    elif metrics["macro_auroc"]["value"] is None:
        why = "there are images of one class only, or of none, so that no AUROC is defined"
    elif not _tested(metrics):
        why = f"the model itself {_scores(metrics)}, which is not shown to be better than guessing"
    elif accused := called_out(verdicts):
        state, why = "called out", "with the lungs blacked out it still tells the classes apart"
        if WITHOUT_BORDER in accused:
            why += ", and better than from the lungs"
        end = " Part of its score does not come from the lungs."
    else:
        state, why = "not called out", "no probe finds a shortcut"
        end = " That is no proof: a shortcut inside the lungs passes every probe."
    start = "Shortcuts could not be tested" if state == "not tested" else state.capitalize()
    return {"state": state, "sentence": f"{start}: {why}.{end}"}


def _tested(metrics: dict) -> bool:
    """Whether the model is shown to know more than a guess."""
    low = metrics["macro_auroc"]["low"]
    return low is not None and low > GUESSING


def heat_outside_lungs(
    outside: np.ndarray, grid: tuple[int, int], patients: Sequence[str], seed: int = 0
) -> dict:
    """The mean of `outside` (n,), each map's part of heat outside the lung box, and its interval.

    grid: rows and columns of the maps. patients: the name of the patient of each image, n; they are
    drawn for the interval. NaN, a map without heat, does not count.
    """
    has_heat = ~np.isnan(outside)
    mean = UNDEFINED
    if has_heat.any():
        outside, patients = np.asarray(outside)[has_heat], np.asarray(patients)[has_heat]
        drawn = bootstrap(lambda weights: weights @ outside / weights.sum(1), patients, seed=seed)
        mean = metric(outside.mean(), percentile_interval(drawn, float(outside.mean())))
    how = (
        f"a map that is even everywhere has {LUNGS.outside:.2f}; below it the model looks at the"
        f" lungs more than elsewhere. Maps have {grid[0]} x {grid[1]} cells"
    )
    if min(grid) < FINE:
        how += ", too coarse to tell lungs from border well"
    return {
        **mean,
        "box_outside": LUNGS.outside,
        "grid": list(grid),
        "maps": int(has_heat.sum()),
        "how": how,
    }


def _within_source(metrics: dict) -> Verdict | None:
    within, overall = metrics["within_source"]["macro_auroc"], metrics["macro_auroc"]
    if overall["value"] is None:
        return None
    if within["value"] is None:
        sentence = "No source has images of two classes: what the model knows of the source counts"
        return Verdict("within a source", False, f"{sentence} in every number here.")
    sentence = f"Between images of one source the model has an AUROC of {_interval(within)}"
    if within["low"] <= GUESSING:
        sentence += f", which is not shown to be better than guessing, {GUESSING:.2f}"
    return Verdict("within a source", False, f"{sentence}; over all images {overall['value']:.2f}.")


def _without_lungs(metrics: dict, scores: dict) -> Verdict:
    images = np.sum(metrics["confusion_matrix"], axis=1)
    sentence = (
        f"With the lungs blacked out the model {_scores(scores)}; guessing reaches"
        f" {100 * images.max() / images.sum():.0f} % and {GUESSING:.2f}"
    )
    if _knows(scores, metrics):
        return Verdict(WITHOUT_CENTRE, True, f"{sentence}. That much it reads off the border.")
    why = "The border alone is not shown to give the class away."
    return Verdict(WITHOUT_CENTRE, False, f"{sentence}. {why}")


def _without_border(metrics: dict, probes: dict) -> Verdict:
    lungs_only, border_only = probes[WITHOUT_BORDER], probes[WITHOUT_CENTRE]
    sentence = f"With all but the lungs blacked out the model {_scores(lungs_only)}"
    # Both are black in part, so that black itself does not explain that one is worse.
    auroc, of_border = lungs_only["macro_auroc"], border_only["macro_auroc"]
    if _knows(border_only, metrics) and auroc["high"] < of_border["low"]:
        sentence += ", worse than without the lungs. It needs the border more than these."
        return Verdict(WITHOUT_BORDER, True, sentence)
    if _knows(lungs_only, metrics):
        why = "What is left suffices: the lungs, but also brightness, in which sources differ."
    else:
        why = "It is not shown to know the class from that: it may need the border, or be confused"
        why += " by the black."
    return Verdict(WITHOUT_BORDER, False, f"{sentence}{_before(metrics)}. {why}")


def _blurred(metrics: dict, scores: dict) -> Verdict:
    sentence = f"Blurred to 16 pixels the model {_scores(scores)}{_before(metrics)}"
    if _knows(scores, metrics):
        sentence += ". So much comes from brightness and layout"
    return Verdict(BLURRED, False, f"{sentence}.")


def _cheat(name: str, scores: dict) -> Verdict:
    leads = {LEADS[key]: lead for key, lead in scores["lead"].items() if lead["value"] is not None}
    ahead = [name for name, lead in leads.items() if lead["low"] > 0]
    behind = [name for name in leads if name not in ahead]
    sentence = "the model is not shown to know more"
    if ahead:
        sentence = f"the model is ahead in {' and '.join(ahead)}"
        sentence += f", and not shown to be in {' and '.join(behind)}" if behind else ""
    numbers = ", ".join(f"{name} {_interval(lead)}" for name, lead in leads.items())
    return Verdict(
        name,
        False,
        f"{name[:1].upper()}{name[1:]} would name {_percent(scores['accuracy'])} of the images"
        f" right; {sentence}. Its lead on the same patients: {numbers}.",
    )


def _heat(heat: dict | None) -> Verdict | None:
    if heat is None or heat["value"] is None:
        return None
    sentence = (
        f"Of the heat of the maps {_interval(heat)} lies outside the lung box, which leaves"
        f" {heat['box_outside']:.2f} of the area outside"
    )
    if min(heat["grid"]) < FINE:
        rows, columns = heat["grid"]
        sentence += f"; with {rows} x {columns} cells that says little"
    elif heat["low"] > heat["box_outside"]:
        sentence += ": the model points away from the lungs"
    return Verdict("heat outside the lungs", False, f"{sentence}.")


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
    return f"names {_percent(scores['accuracy'])} of the images right, AUROC {ranks}"


def _before(metrics: dict) -> str:
    accuracy, auroc = metrics["accuracy"]["value"], metrics["macro_auroc"]["value"]
    ranks = "undefined" if auroc is None else f"{auroc:.2f}"
    return f", against {100 * accuracy:.0f} % and {ranks} on whole images"


def _interval(metric: Metric) -> str:
    return "{value:.2f} ({low:.2f} to {high:.2f})".format(**metric)


def _percent(accuracy: Metric) -> str:
    numbers = [100 * accuracy[key] for key in ("value", "low", "high")]
    return "{:.0f} % ({:.0f} - {:.0f})".format(*numbers)

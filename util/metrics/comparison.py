"""Whether one of two models is better, on the same images of the same patients."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from util.metrics.intervals import (
    UNDEFINED,
    Metric,
    Z,
    bootstrap,
    few_clusters,
    leaning_interval,
    metric,
    wilson_interval,
)
from util.metrics.ranking import auroc
from util.metrics.scores import accuracy, check_table, confusion_matrix, f1, macro_average
from util.metrics.within_source import against_the_rest, aurocs, smaller_side
from util.words import counted

METRICS = ("accuracy", "macro_f1", "macro_auroc")
DRAWS = 1000
SURE = 0.05  # below it a p counts as a difference


def compare(
    probabilities_a: np.ndarray,
    probabilities_b: np.ndarray,
    targets: np.ndarray,
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> dict:
    """Model B less model A on the same images, ready for JSON: above 0, B is better.

    Arguments as for `check_table`. Returns "difference": {each of METRICS: metric}, "mcnemar" and
    "verdict", one sentence.

    The intervals are of 1,000 bootstrap draws that take the same patients for both models. As a
    bootstrap cannot draw what it has not seen, that of the accuracy is widened by two imagined
    patients, one for each model (after Bonett & Price 2012, J. Educ. Behav. Stat. 37:479), and the
    others for the few patients of the rarest class, as a macro average leans on each class alike,
    and by what Wilson's interval allows in a class on which the models do not differ at all. They
    lean as `leaning_interval` does.

    McNemar's test (1947), Psychometrika 12:153, has one vote a patient, as images of a patient are
    not independent: for the model that names more of them right. "p" is two-sided and exact.
    """
    models = []
    for probabilities in (probabilities_a, probabilities_b):
        model, targets, _ = check_table(probabilities, targets, patients, classes)
        models.append(model)
    _, patients = np.unique(patients, return_inverse=True)

    def difference(weights: np.ndarray) -> np.ndarray:
        a, b = (_scores(model, targets, weights) for model in models)
        return b - a

    values = difference(np.ones((1, len(targets))))[0, : len(METRICS)]
    drawn = bootstrap(difference, patients, DRAWS, seed)
    doubts = _doubts(drawn[:, len(METRICS) :], targets, patients)
    rarest = min(len(set(patients[targets == k])) for k in np.unique(targets))
    wider = [1.0] + [few_clusters(rarest)] * (len(METRICS) - 1)
    columns = zip(METRICS, values, drawn.T, doubts, wider, strict=False)  # the rest are of classes
    differences = {name: _metric(*column) for name, *column in columns}
    right_a, right_b = (model.argmax(1) == targets for model in models)
    votes = mcnemar(right_a, right_b, patients)
    return {"difference": differences, "mcnemar": votes, "verdict": _verdict(differences, votes)}


def within_source_difference(
    probabilities_a: np.ndarray,
    probabilities_b: np.ndarray,
    sources: Sequence[str],
    targets: np.ndarray,
    patients: Sequence[str],
    seed: int = 0,
) -> Metric:
    """The macro AUROC of `within_source` of model B less that of A, on the same images.

    The interval is as those of `compare`, with the patients that count in `within_source`.
    """
    sources, targets, patients = (np.asarray(column) for column in (sources, targets, patients))
    models = [against_the_rest(p, targets, sources) for p in (probabilities_a, probabilities_b)]
    sizes = np.array([smaller_side(of_sources, patients) for of_sources in models[0]])
    if not sizes.any():
        return UNDEFINED.copy()

    def difference(weights: np.ndarray) -> np.ndarray:
        """Of the macro average, then of each class: (b, 1 + K)."""
        a, b = (aurocs(classes, len(classes), weights) for classes in models)
        return b - a

    value = float(difference(np.ones((1, len(targets))))[0, 0])
    macro, *of_classes = bootstrap(difference, patients, DRAWS, seed).T
    defined = sizes > 0
    doubt = _doubt(np.array(of_classes)[defined].T, sizes[defined])
    return _metric(value, macro, doubt, few_clusters(sizes[defined].mean()))


def mcnemar(right_a: np.ndarray, right_b: np.ndarray, patients: np.ndarray) -> dict:
    """McNemar's exact test of two models, one vote a patient.

    `right_a` and `right_b` (n,) bool say which images a model names right, `patients` (n,) whose
    they are. Returns {"patients", "a_better", "b_better", "ties", "p"}; without votes p is 1.
    """
    _, member = np.unique(patients, return_inverse=True)
    lead = np.bincount(member, np.asarray(right_b, float) - np.asarray(right_a, float))
    a_better, b_better = int((lead < 0).sum()), int((lead > 0).sum())
    votes = a_better + b_better
    return {
        "patients": len(lead),
        "a_better": a_better,
        "b_better": b_better,
        "ties": len(lead) - votes,
        "p": float(binomtest(b_better, votes).pvalue) if votes else 1.0,
    }


def _scores(probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """METRICS for `weights` (b, n), then F1 and AUROC of each class: (b, 3 + 2 K)."""
    n_classes = probabilities.shape[1]
    matrices = confusion_matrix(targets, probabilities.argmax(1), n_classes, weights)
    of_class = f1(matrices), auroc(probabilities, targets, weights)  # (b, K) each
    macro = [macro_average(scores, matrices) for scores in of_class]
    return np.column_stack([accuracy(matrices), *macro, *of_class])


def _doubts(of_class: np.ndarray, targets: np.ndarray, patients: np.ndarray) -> list[float]:
    """By how much each of METRICS may differ without a sign of it in the draws.

    `of_class` (draws, 2 K) are the drawn differences of F1 and AUROC of each class.
    """
    occurring = np.unique(targets)
    sizes = [len(set(patients[targets == k])) for k in occurring]
    macro = [_doubt(drawn[:, occurring], sizes) for drawn in np.split(of_class, 2, axis=1)]
    return [Z * 2**0.5 / (len(set(patients)) + 2), *macro]


def _doubt(drawn: np.ndarray, sizes: Sequence[int]) -> float:
    """The same of the mean of C classes: `drawn` (draws, C), and how many patients each has."""
    unseen = [
        wilson_interval(0.0, size)[1]
        for column, size in zip(drawn.T, sizes, strict=True)
        if np.nan_to_num(column).std() < 1e-9
    ]
    return float(np.linalg.norm(unseen)) / len(sizes)


def _metric(value: float, drawn: np.ndarray, doubt: float, wider: float) -> Metric:
    low, high = leaning_interval(drawn, value)
    down, up = np.hypot([wider * (value - low), wider * (high - value)], doubt)
    return metric(value, (max(-1.0, value - down), min(1.0, value + up)))


def _verdict(difference: dict, votes: dict) -> str:
    """Names the better one where the interval of the accuracy and McNemar's test agree on it."""
    change = difference["accuracy"]
    value, low, high = (100 * change[key] for key in ("value", "low", "high"))
    more = "higher" if value >= 0 else "lower"
    low, high = (low, high) if value >= 0 else (-high, -low)
    b_leads = votes["b_better"] > votes["a_better"]
    if votes["p"] < SURE and low > 0 and b_leads == (value > 0):
        start = f"{'B' if b_leads else 'A'} is better"
    elif votes["p"] < SURE or low > 0:
        start = "A hint of a difference, no proof"
    else:
        start = "No difference is shown"
    voters = votes["a_better"] + votes["b_better"]
    vote = "on no patient is one of them better"
    if voters:
        speaks = "speaks" if votes["b_better"] == 1 else "speak"
        vote = f"of the {counted(voters, 'patient')} on whom they differ {votes['b_better']}"
        vote += f" {speaks} for B (p = {votes['p']:.2g})"
    gap = f"{abs(value):.1f} percentage points {more} than A's" if value else "that of A"
    return f"{start}: B's accuracy is {gap} ({low:.1f} to {high:.1f}), and {vote}."

"""How well a network's features name the source of an image, which they need not know."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from util.metrics.intervals import FEWEST_CLUSTERS, UNDEFINED, Metric, metric
from util.metrics.scores import evaluate_predictions

FEWEST_PATIENTS = FEWEST_CLUSTERS  # of a source within a class, as for any interval
FOLDS = 5  # or as many as the source with the fewest patients has
# Strength of the classifier's fit, 1 is scikit-learn's own. There are 512 features and some dozens
# of images, so that a free fit finds a source in noise.
FIT = 0.01


def source_in_features(
    features: np.ndarray,
    sources: Sequence[str],
    targets: Sequence[int],
    patients: Sequence[str],
    classes: Sequence[str],
    seed: int = 0,
) -> dict[str, dict]:
    """For each class, with what AUROC a linear classifier reads the source off the features.

    features (N, F), of the penultimate layer; targets, sources, patients: N each. The classifier is
    a logistic regression, fitted to images of other patients, in which each source weighs the same.
    0.5 is chance. Of two sources the rarer is the positive one; of more it is the mean of each
    against the rest. Within a class, because between classes the disease itself would do.

    The interval of the AUROC is widened for the classifiers of the folds, which were fitted to much
    the same images: Nadeau & Bengio (2003), Mach. Learn. 52:239. Over features that know
    nothing of the source it holds 0.5 in 92 to 97 of 100 draws; without, in 75 to 90.

    Returns {class: {"auroc": metric, "images": those used, "sources": images of
    each source, "how": one sentence}}; all None where fewer than two sources have FEWEST_PATIENTS.
    Alain & Bengio (2016), arXiv:1610.01644.
    """
    features, targets = np.asarray(features, float), np.asarray(targets)
    sources, patients = np.asarray(sources, object), np.asarray(patients, object)
    return {
        name: _of_class(features[targets == k], sources[targets == k], patients[targets == k], seed)
        for k, name in enumerate(classes)
    }


def _of_class(features: np.ndarray, sources: np.ndarray, patients: np.ndarray, seed: int) -> dict:
    names, images = np.unique(sources, return_counts=True)
    images_of = dict(zip(names.tolist(), images.tolist(), strict=True))
    people = {name: len(set(patients[sources == name])) for name in names}
    enough = [name for name in names if people[name] >= FEWEST_PATIENTS]
    if len(enough) < 2:
        has = ", ".join(f"{name} {people[name]}" for name in names) or "none"
        how = f"not measured: it takes two sources of {FEWEST_PATIENTS} patients each; found {has}"
        return {"auroc": UNDEFINED.copy(), "images": 0, "sources": images_of, "how": how}

    used = np.isin(sources, enough)
    of_source = np.searchsorted(enough, sources[used].astype(str))
    n_folds = min(FOLDS, *(people[name] for name in enough))
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    classifier = make_pipeline(
        StandardScaler(),
        # Balanced: a fold that lacks some of a source would else make it less likely just there.
        LogisticRegression(C=FIT, class_weight="balanced", max_iter=1000),
    )
    chances = cross_val_predict(
        classifier, features[used], of_source, groups=patients[used], cv=folds,
        method="predict_proba",
    )  # fmt: skip
    scores = evaluate_predictions(chances, of_source, patients[used], enough, seed)
    rarer = min(enough, key=lambda name: images_of[name])
    auroc = scores["per_class"][rarer]["auroc"] if len(enough) == 2 else scores["macro_auroc"]
    how = (
        "0.5 is chance, and 1 means that the features tell where each image comes from; that they"
        " can does not prove that the class is named by it"
    )
    return {
        "auroc": _widened(auroc, n_folds),
        "images": int(used.sum()),
        "sources": images_of,
        "how": how,
    }


def _widened(auroc: Metric, folds: int) -> Metric:
    """The mean over k folds has 1/k of a fold's variance; the fits add 1/(k - 1) of it."""
    if auroc["value"] is None:
        return auroc
    value, factor = auroc["value"], (1 + folds / (folds - 1)) ** 0.5
    low = max(0.0, value - factor * (value - auroc["low"]))
    high = min(1.0, value + factor * (auroc["high"] - value))
    return metric(value, (low, high))

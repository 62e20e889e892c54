"""Embeddings of any network, and the linear probe on them that is the model under test.

A .npz file with `filenames` (N,) and `embeddings` (N, D), of all films of train, val and test whose
label the mapping knows. The probe is a logistic regression: how well the classes can be told apart
by a plane between them. Alain & Bengio (2016), arXiv:1610.01644.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from data.dataset_folder import read_about
from model.under_test.films import check_complete, check_names, used_films
from model.under_test.model import ModelUnderTest, Outputs
from util.class_names import check_mapping, class_names
from util.metrics.conformal import Validation
from util.metrics.scores import confusion_matrix, macro_auroc, summary
from util.metrics.within_source import within_source_auroc
from util.model_file import short_hash
from util.report.facts import INTENDED_USE, mixture
from util.training.choice import measurable
from util.words import SCORES

ARRAYS = ("filenames", "embeddings")
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # scikit-learn's C: the larger, the freer the fit


def linear_probe(path: Path, folder: Path, mapping: Mapping[str, int]) -> ModelUnderTest:
    """Fitted to train; val chooses its strength, by the AUROC within sources where that can be
    measured. ValueError or FileNotFoundError for a file that does not fit the dataset folder.
    """
    about, mapping = read_about(folder), dict(mapping)
    check_mapping(mapping, about["labels"], str(folder))
    vectors = read_embeddings(path)
    check_names(path, vectors.index, folder)
    films = used_films(folder, mapping)
    for split, table in films.items():
        check_complete(path, vectors.index, table, split)

    def features(films: pd.DataFrame) -> np.ndarray:
        return vectors.loc[films["filename"]].to_numpy()

    train, val = films["train"], films["val"]
    targets, chosen_on = (table["label"].map(mapping).to_numpy() for table in (train, val))
    classes = class_names(mapping)
    if len(lacking := set(mapping.values()) - {*targets}):
        text = f"{folder}: train has no film of {classes[min(lacking)]}; expected every class"
        raise ValueError(f"{text}. Leave it out of --mapping")
    judged_by = measurable("within_source_auroc", chosen_on, val, len(classes), "the strength")
    fits = [_probe(strength).fit(features(train), targets) for strength in STRENGTHS]
    said = [fit.predict_proba(features(val)) for fit in fits]
    sources = val["source"].to_numpy()
    scores = [_score(judged_by, chances, chosen_on, sources) for chances in said]
    # Of equals the one with the least loss: what ranks alike may name all films after one class.
    losses = [log_loss(chosen_on, chances, labels=range(len(classes))) for chances in said]
    best = max(range(len(fits)), key=lambda k: (scores[k], -losses[k]))
    prior = np.bincount(targets) / len(targets)
    checkpoint = {
        "mapping": mapping,
        "config": {"name": path.stem, "dataset": str(folder)},
        "fingerprint": about["fingerprint"],
        "prior": prior.tolist(),
        "temperature": None,
    }
    how = f"C = {STRENGTHS[best]:g}, chosen by the {SCORES[judged_by]} on val, {scores[best]:.3f}"

    def outputs(subject) -> Outputs:
        own = features(subject.images.table)
        return Outputs(fits[best].predict_proba(own), own)

    return ModelUnderTest(
        path=str(path),
        home=path.with_suffix(""),
        checkpoint=checkpoint,
        outputs=outputs,
        validation=Validation(said[best], chosen_on, val["patient_id"].to_numpy()),
        card={
            "Name": path.stem,
            "Architecture": f"a logistic regression of {vectors.shape[1]:,} numbers, which a"
            " network that is not here gave each film",
            "Classes": ", ".join(classes),
            "Training": f"fitted to {len(train):,} films of train; {how}. Whether the network saw"
            " films of the test split in its own training is not known",
            "Probabilities hold for": mixture(checkpoint),
            "Trained on the data set": about["fingerprint"],
            "Intended use": INTENDED_USE,
        },
        record={"Embeddings": f"{path} ({short_hash(path)})", "Linear probe": how},
    )


def read_embeddings(path: Path) -> pd.DataFrame:
    """(N, D) float64 by file name; no code in the file is run."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a .npz of {' and '.join(ARRAYS)}")
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := [name for name in ARRAYS if name not in file]:
                found = ", ".join(file) or "nothing"
                raise ValueError(f"found {found}; expected also {' and '.join(missing)}")
            names, vectors = (file[name] for name in ARRAYS)
    except OSError:  # which says what it is
        raise
    except Exception as error:  # numpy, zip and its compressions each have their own
        said = str(error) if str(error).startswith("found ") else "not a .npz of plain arrays"
        remedy = "write it with numpy.savez, filenames as text, embeddings as numbers"
        raise ValueError(f"{path}: {said}; {remedy}") from None
    if names.ndim != 1 or vectors.ndim != 2 or len(names) != len(vectors) or not vectors.size:
        found = f"filenames {names.shape} and embeddings {vectors.shape}"
        raise ValueError(f"{path}: found {found}; expected (N,) and (N, D)")
    if vectors.dtype.kind not in "fiu" or names.dtype.kind != "U":
        found = f"filenames of {names.dtype} and embeddings of {vectors.dtype}"
        raise ValueError(f"{path}: found {found}; expected text and numbers")
    vectors = vectors.astype(float)
    if len(broken := np.flatnonzero(~np.isfinite(vectors).all(1))):
        raise ValueError(f"{path}: {names[broken[0]]}: NaN or infinity; expected finite numbers")
    return pd.DataFrame(vectors, index=names)


def _probe(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


def _score(name: str, chances: np.ndarray, targets: np.ndarray, sources: np.ndarray) -> float:
    """One of what `measurable` returns."""
    if name == "within_source_auroc":
        return within_source_auroc(chances, targets, sources)
    if name == "macro_auroc":
        return macro_auroc(chances, targets)
    return summary(confusion_matrix(targets, chances.argmax(1), chances.shape[1]))[name]

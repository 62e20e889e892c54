"""What names the class of a film without looking at the disease: its metadata, or how it was taken.

A model that is not well ahead of such a cheat may have learned the same. The tables here are
metadata, with the numbers of each picture where `data.dataset_folder.add_pictures` found them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data.images.picture_statistics import STATISTICS
from util.metrics.intervals import Metric, clustered_wilson, metric

BY_SHAPE, BY_STATISTICS = "file shape", "picture statistics"
CHEATS = ("source", "view", BY_SHAPE, BY_STATISTICS)
MODEL = f"a logistic regression of {len(STATISTICS)} numbers of each picture, fitted to train"
MEASURED = "brightness, contrast, sharpness, noise, compression, proportions and border"


def chances_of_cheats(
    train: pd.DataFrame, images: pd.DataFrame, labels: Sequence[str]
) -> dict[str, np.ndarray]:
    """How likely each of CHEATS takes each of `labels` (K,) to be for each row of `images`: (N, K).

    What two of them need may not be known; then these are left out.
    """
    chances = {name: chances_by(name, train, images, labels) for name in ("source", "view")}
    if _measured(train, images):
        shapes = (table.assign(**{BY_SHAPE: _shapes(table)}) for table in (train, images))
        chances[BY_SHAPE] = chances_by(BY_SHAPE, *shapes, labels)
        chances[BY_STATISTICS] = chances_by_statistics("label", train, images, labels)
    return chances


def explain(cheat: str) -> str:
    """How one of CHEATS comes to its answer."""
    if cheat == BY_STATISTICS:
        return f"{MODEL}: {MEASURED}, as a network sees them"
    return f"each image gets the shares of the classes that its {cheat} has in train"


def chances_by(
    column: str, train: pd.DataFrame, images: pd.DataFrame, labels: Sequence[str]
) -> np.ndarray:
    """How common each of `labels` (K,) is in train for the `column` value of each row of `images`.

    (N, K), each row adds up to 1. A value that train lacks gets the shares over all of train.
    """
    shares = pd.crosstab(train[column], train["label"], normalize="index")
    shares = shares.reindex(columns=list(labels), fill_value=0.0)
    everything = train["label"].value_counts(normalize=True).reindex(list(labels), fill_value=0.0)
    return shares.reindex(images[column]).fillna(everything).to_numpy()


def chances_by_statistics(
    column: str, train: pd.DataFrame, images: pd.DataFrame, values: Sequence[str]
) -> np.ndarray:
    """How likely each of `values` (K,) of the column is by the numbers of each picture of `images`.

    (N, K), each row adds up to 1.
    """
    several = train[column].nunique() > 1
    classifier = LogisticRegression(max_iter=1000) if several else DummyClassifier()
    model = make_pipeline(StandardScaler(), classifier).fit(train[[*STATISTICS]], train[column])
    chances = pd.DataFrame(model.predict_proba(images[[*STATISTICS]]), columns=model.classes_)
    return chances.reindex(columns=list(values), fill_value=0.0).to_numpy()


def shape_class(width: int, height: int) -> str:
    """The sides in pixels, each rounded to the nearest power of the square root of 2.

    An archive has the sizes of its detectors; figures in articles have any size.
    """
    return " x ".join(str(round(2 ** (round(2 * np.log2(side)) / 2))) for side in (width, height))


def cheat_scores(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, Metric]]:
    """For each of CHEATS and for val and test: how often it names the class, with 95 %.

    A split without an image has no score. Ties go to the first label by name.
    """
    labels = np.array(sorted(set(tables["train"]["label"])), dtype=object)
    scores = {cheat: {} for cheat in CHEATS}
    for split in ("val", "test"):
        images = tables[split]
        if images.empty:
            continue
        for cheat, chances in chances_of_cheats(tables["train"], images, labels).items():
            scores[cheat][split] = _accuracy(images, "label", labels[chances.argmax(1)])
    return scores


def source_in_pictures(train: pd.DataFrame, images: pd.DataFrame) -> dict | None:
    """How often the numbers of a prepared picture still name its source.

    Returns "accuracy", a metric; "commonest", what it would be if each were named after the
    commonest source of train; "images", those of sources that train has; and "how", one sentence.
    None where the numbers are not known, or there are not two sources to tell apart.
    """
    sources = train["source"].value_counts().index
    known = images[images["source"].isin(sources)]
    if len(sources) < 2 or known.empty or not _measured(train, images):
        return None
    chances = chances_by_statistics("source", train, known, sources)
    return {
        "accuracy": _accuracy(known, "source", sources.to_numpy()[chances.argmax(1)]),
        "commonest": float((known["source"] == sources[0]).mean()),
        "images": len(known),
        "how": f"{MODEL}, names the source of the prepared films",
    }


def _measured(*tables: pd.DataFrame) -> bool:
    return all({"width", "height", *STATISTICS} <= {*table} for table in tables)


def _shapes(table: pd.DataFrame) -> list[str]:
    return [*map(shape_class, table["width"], table["height"])]


def _accuracy(images: pd.DataFrame, column: str, named: np.ndarray) -> Metric:
    hits = (images[column] == named).to_numpy()
    return metric(hits.mean(), clustered_wilson(hits, images["patient_id"].to_numpy()))

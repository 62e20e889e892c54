"""What is in a dataset, and how well its metadata name the class without a pixel."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from data.record import Dropped
from util.metrics.intervals import clustered_wilson
from util.words import counted

# These may give the class away if the classes come from different places.
SHORTCUTS = ("source", "view", "file shape")
MOST_SHOWN = 12  # reasons on screen
AGES = ("0-19", "20-39", "40-59", "60-79", "80+")


def counts(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Images by label and source (rows) and split (columns), in the order of `tables`."""
    return _tabulate(tables, ["label", "source"])


def _tabulate(tables: dict[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    parts = [table.assign(split=split) for split, table in tables.items()]
    everything = pd.concat(parts, ignore_index=True)
    table = pd.crosstab([everything[name] for name in columns], everything["split"])
    return table.reindex(columns=list(tables), fill_value=0)


def age_band(age: str) -> str:
    """One of AGES for whole years as text, that of the first year of a span; `unknown` for none."""
    return AGES[min(int(age.split("-")[0]) // 20, len(AGES) - 1)] if age else "unknown"


def shape_class(width: int, height: int) -> str:
    """The sides in pixels, each rounded to the nearest power of the square root of 2.

    An archive has the sizes of its detectors; figures in articles have any size.
    """
    return " x ".join(str(round(2 ** (round(2 * np.log2(side)) / 2))) for side in (width, height))


def audit_columns(table: pd.DataFrame, shapes: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """The metadata of a split as the audit counts it: age in bands, no blanks, the file's shape.

    shapes: filename -> width and height of the raw image.
    """
    return table.assign(
        age=table["age"].map(age_band),
        **{"file shape": [shape_class(*shapes[name]) for name in table["filename"]]},
    ).replace("", "unknown")


def guess_by(column: str, train: pd.DataFrame, other: pd.DataFrame) -> Sequence[str]:
    """For each row of `other` the commonest label that its `column` value has in `train`.

    Ties go to the first by name. See `chances_by`.
    """
    labels = sorted(set(train["label"]))
    return [labels[k] for k in chances_by(column, train, other, labels).argmax(1)]


def chances_by(
    column: str, train: pd.DataFrame, other: pd.DataFrame, labels: Sequence[str]
) -> np.ndarray:
    """How common each of `labels` (K,) is in `train` for the `column` value of each row of `other`.

    (N, K), each row adds up to 1. A value that train lacks gets the shares over all of train.
    No pixel is used: a model that is not well ahead of this may have learned `column` instead.
    """
    shares = pd.crosstab(train[column], train["label"], normalize="index")
    shares = shares.reindex(columns=list(labels), fill_value=0.0)
    everything = train["label"].value_counts(normalize=True).reindex(list(labels), fill_value=0.0)
    return shares.reindex(other[column]).fillna(everything).to_numpy()


def scores_without_pixels(
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, dict[str, dict[str, float]]]:
    """For each of SHORTCUTS and for val and test: the accuracy of `guess_by`, with 95 %.

    tables: from `audit_columns`. A split without an image has no score.
    """
    scores = {column: {} for column in SHORTCUTS}
    for column in SHORTCUTS:
        for split in ("val", "test"):
            images = tables[split]
            if len(images):
                guess = guess_by(column, tables["train"], images)
                hits = (images["label"] == guess).to_numpy()
                low, high = clustered_wilson(hits, images["patient_id"].to_numpy())
                scores[column][split] = {"value": hits.mean(), "low": low, "high": high}
    return scores


def describe(tables: dict[str, pd.DataFrame]) -> dict:
    """Labels, images and patients of each split, and images by every combination of the metadata.

    tables: from `audit_columns`. `counts` in the result has images by label and source, `audit` by
    label, source, view, sex and age band, each for each split.
    """
    table = counts(tables)
    return {
        "labels": sorted(set(table.index.get_level_values("label"))),
        "images": {split: len(rows) for split, rows in tables.items()},
        "patients": {split: rows["patient_id"].nunique() for split, rows in tables.items()},
        "counts": _rows(table),
        "audit": _rows(_tabulate(tables, ["label", "source", "view", "sex", "age"])),
    }


def _rows(table: pd.DataFrame) -> list[dict]:
    return table.reset_index().to_dict("records")


def count_reasons(dropped: Iterable[Dropped]) -> dict[str, int]:
    """How many rows were left out for each kind of reason, the commonest first.

    A kind is a reason without the details of one row: quoted words, files, numbers.
    """
    kinds = (re.sub(r"'[^']*'|\S+\.\w+|\d+", "...", item.reason) for item in dropped)
    return dict(Counter(kinds).most_common())


def summary(about: Mapping, tables: Mapping[str, pd.DataFrame]) -> str:
    """A new dataset, for the terminal. about: dataset.json; tables: from `audit_columns`."""
    dropped, images = (sum(about[name].values()) for name in ("dropped", "images"))
    lines = [
        str(counts(tables)),
        f"\n{counted(images, 'image')} kept, {counted(dropped, 'row')} left out"
        + (" (dropped.csv has each):" if dropped else "."),
        *(f"{rows:6d}  {kind}" for kind, rows in list(about["dropped"].items())[:MOST_SHOWN]),
    ]
    if len(about["dropped"]) > MOST_SHOWN:
        more = counted(len(about["dropped"]) - MOST_SHOWN, "more kind")
        lines.append(f"        and {more} of reasons")
    near = sum(group["kind"] == "near" for group in about["duplicates"])
    sides = f"\n{counted(near, 'group')} of near copies, each in one split (dataset.json has them)."
    lines.append(sides if near else "\nNo near copies found.")
    lines.append("\nWithout a pixel, this alone names the class with this accuracy (95 %):")
    for column, scores in about["alone"].items():
        row = (
            f"{split} {s['value']:.2f} ({s['low']:.2f} - {s['high']:.2f})"
            for split, s in scores.items()
        )
        lines.append(f"{column:>12}  {'   '.join(row)}")
    return "\n".join(lines)

"""What is in a dataset, and what its metadata alone would score: the cheat to beat."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from data.record import Dropped


def counts(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Images by label and source (rows) and split (columns), in the order of `tables`."""
    parts = [table.assign(split=split) for split, table in tables.items()]
    everything = pd.concat(parts, ignore_index=True)
    table = pd.crosstab([everything["label"], everything["source"]], everything["split"])
    return table.reindex(columns=list(tables), fill_value=0)


def guess_by(column: str, train: pd.DataFrame, other: pd.DataFrame) -> Sequence[str]:
    """Names each row of `other` after the commonest label that its `column` value has in `train`.

    A value that train does not have gets train's commonest label; ties go to the first by name.
    No pixel is looked at: a model that is not well ahead of this may have learned `column` instead.
    """
    common = train.groupby(column)["label"].agg(lambda labels: labels.mode().iloc[0])
    return list(other[column].map(common).fillna(train["label"].mode().iloc[0]))


def describe(tables: dict[str, pd.DataFrame]) -> dict:
    """Labels, images and patients of each split, and images by label, source and split."""
    table = counts(tables)
    return {
        "labels": sorted(set(table.index.get_level_values("label"))),
        "images": {split: len(rows) for split, rows in tables.items()},
        "patients": {split: rows["patient_id"].nunique() for split, rows in tables.items()},
        "counts": [
            {"label": label, "source": source, **row.to_dict()}
            for (label, source), row in table.iterrows()
        ],
    }


def reasons(dropped: Iterable[Dropped]) -> dict[str, int]:
    """How many rows were left out for which kind of reason, the commonest first.

    A kind is the reason without what it says of the single row: quoted words, files, numbers.
    """
    kinds = (re.sub(r"'[^']*'|\S+\.\w+|\d+", "...", item.reason) for item in dropped)
    return dict(Counter(kinds).most_common())

"""What is in a dataset: its images by their metadata, in numbers and in words."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd

from data.audit.upscaling import MOST
from data.record import Dropped
from util.metrics.intervals import Metric
from util.words import counted, reviewed

MOST_SHOWN = 12  # reasons on screen
AGES = ("0-19", "20-39", "40-59", "60-79", "80+")


def counts(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Images by label and source (rows) and split (columns), in the order of `tables`."""
    return _tabulate(tables, ["label", "source"])


def origins(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The same by source and, as far as they are known, hospital, country and licence."""
    known = [name for name in ("hospital", "country", "licence") if name in tables["train"]]
    named = {split: table.replace("", "unknown") for split, table in tables.items()}
    return _tabulate(named, ["source", *known])


def _tabulate(tables: dict[str, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    parts = [table.assign(split=split) for split, table in tables.items()]
    everything = pd.concat(parts, ignore_index=True)
    table = pd.crosstab([everything[name] for name in columns], everything["split"])
    return table.reindex(columns=list(tables), fill_value=0)


def age_band(age: str) -> str:
    """One of AGES for whole years as text, that of the first year of a span; `unknown` for none."""
    return AGES[min(int(age.split("-")[0]) // 20, len(AGES) - 1)] if age else "unknown"


def audit_columns(table: pd.DataFrame) -> pd.DataFrame:
    """The metadata of a split as the audit counts it: age in bands, no blanks."""
    return table.assign(age=table["age"].map(age_band)).replace("", "unknown")


def describe(tables: dict[str, pd.DataFrame]) -> dict:
    """Labels, images and patients of each split, and images by every combination of the metadata.

    tables: from `audit_columns`. `counts` in the result has images by label and source, `audit` by
    label, source, view, sex, age band and, if known, hospital and country, each for each split;
    `licences` has the images of each licence, where one is known.
    """
    table = counts(tables)
    everything = pd.concat(tables.values())
    place = [name for name in ("hospital", "country") if name in everything]
    licences = everything["licence"].value_counts().to_dict() if "licence" in everything else {}
    return {
        "labels": sorted(set(table.index.get_level_values("label"))),
        "images": {split: len(rows) for split, rows in tables.items()},
        "patients": {split: rows["patient_id"].nunique() for split, rows in tables.items()},
        "counts": _rows(table),
        "audit": _rows(_tabulate(tables, ["label", "source", *place, "view", "sex", "age"])),
        **({"licences": licences} if licences else {}),
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
    if "corrections" in about:
        lines.append(
            f"\nBy reviewers: {reviewed(about['corrections'])} (dataset.json has each film)."
        )
    near = sum(group["kind"] == "near" for group in about["duplicates"])
    sides = f"\n{counted(near, 'group')} of near copies, each in one split (dataset.json has them)."
    lines.append(sides if near else "\nNo near copies found.")
    lines.append("\nCheats, which do not look at the disease, name the class this often (95 %):")
    lines += [f"{cheat:>20}  {_scores(scores)}" for cheat, scores in about["alone"].items()]
    if sources := {split: found for split, found in about["source_in_pictures"].items() if found}:
        named = {split: found["accuracy"] for split, found in sources.items()}
        guess = "   ".join(f"{split} {found['commonest']:.2f}" for split, found in sources.items())
        lines.append("\nThe prepared films still show their source, named this often:")
        lines.append(f"{'picture statistics':>20}  {_scores(named)}")
        lines.append(f"{'the commonest source':>20}  {guess}")
    factors = about["upscaling"]["factors"].items()
    if enlarged := [f"{name} {factor:.2f} times" for name, factor in factors if factor > MOST]:
        lines.append(
            f"\nScaled up, so that blur gives the source away: {', '.join(enlarged)}. At --size"
            f" {about['upscaling']['common_size']} no source is scaled up more than {MOST} times."
        )
    return "\n".join(lines)


def _scores(scores: Mapping[str, Metric]) -> str:
    """By split."""
    return "   ".join(
        f"{split} {s['value']:.2f} ({s['low']:.2f} - {s['high']:.2f})"
        for split, s in scores.items()
    )

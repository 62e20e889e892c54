"""COVIDX.md: the label files that were given, beside the accuracies that were published on them."""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.covidx.lists import NOT_NAMED, Version, in_both, read_versions, source_alone
from data.audit.counts import counts
from data.sample.covidx import VERSIONS, write_lists
from util.metrics.intervals import Metric

TITLE = """\
# COVIDx: what its lists say before anyone looks at a film

COVIDx (Wang, Lin & Wong, arXiv:2003.09871; CXR-4: Wu et al., arXiv:2311.17677) is a mix of public
collections, and most of its classes come from a collection of their own. These tables say, for each
version whose label files are given, how many films of which class come from where, how well the
source alone names the class on the test list, and how many patients of the test list a model has
seen in training. An accuracy on COVIDx means something as far as it is ahead of that of the source.

```
python3 -m benchmarks covidx DIR [DIR ...] > benchmarks/COVIDX.md
```

DIR holds the label files of one version or more, such as the folder `labels/` of the COVID-Net
repository or Kaggle's download, or folders with them. The films themselves are not read. With
RSNA's `pneumonia-challenge-dataset-mappings_2018.json` beside the label files, the ids of its films
become patients; without it, one of its patients may be in two splits unseen.

## Published accuracies

In percent, without intervals, as the page docs/models.md of the COVID-Net repository
(github.com/lindawangg/COVID-Net) gives them; its README names the version that each model was
tested on. The paper is the one of the model's design.
"""
SYNTHETIC = """\
**Synthetic.** No label file of COVIDx was at hand. These are the handful of lines that the tests
draw for each version (`python3 -m benchmarks covidx --sample`): they show the form of the tables,
and say nothing of COVIDx.
"""
HOW = """\
A value has its 95 % interval, which counts patients. The source alone gives each film of test the
shares of the classes that its source has in train. A source that a line does not name is taken from
the same file in another version; how many films of train and test still have none stands beside it.
"""
PUBLISHED = Path(__file__).with_name("published.csv")


def text(args: argparse.Namespace) -> str:
    """The whole page, in Markdown, of the label files in args.folders, or of the sample's."""
    if not args.sample:
        return _page(read_versions(args.folders), "")
    with TemporaryDirectory() as drawn:
        for version in VERSIONS:
            write_lists(Path(drawn, version), version)
        return _page(read_versions([Path(drawn)]), f"{SYNTHETIC}\n")


def _page(versions: Sequence[Version], note: str) -> str:
    with PUBLISHED.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    parts = [TITLE, _table(head, rows), "## The lists\n", note + HOW, _summary(versions)]
    for version in versions:
        parts += [f"### {version.name}\n", _classes(version)]
    return "\n".join(parts)


def _summary(versions: Sequence[Version]) -> str:
    head = ("version", "test films", "without source: train, test", "accuracy of the source")
    head += ("macro F1", "macro AUROC", "test patients", "of them in train or val", "their films")
    rows = []
    for version in versions:
        patients, known, share = in_both(version)
        unnamed = [(version.films[s]["source"] == NOT_NAMED).sum() for s in ("train", "test")]
        scores = [_metric(score) for score in source_alone(version).values()]
        films = f"{len(version.films['test']):,}"
        where = ", ".join(f"{number:,}" for number in unnamed)
        rows.append(
            (version.name, films, where, *scores, f"{patients:,}", f"{known:,}", _metric(share))
        )
    return _table(head, rows)


def _classes(version: Version) -> str:
    found = counts(version.films)
    rows = [(*names, *(f"{n:,}" for n in found.loc[names])) for names in found.index]
    return _table(("class", "source", *found.columns), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _metric(value: Metric) -> str:
    if value["value"] is None:
        return "undefined"
    return "{value:.2f} ({low:.2f} - {high:.2f})".format(**value)

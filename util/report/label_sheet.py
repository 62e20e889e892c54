"""The label sheet: films whose labels out-of-fold networks doubt, as a page and as a table.

suspects.csv        a row a film; `decision` is for the reviewer, and read by generate_dataset.py
report.html .md     the same films, under the same numbers
gallery/            their pictures
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from util.files import atomic_path
from util.report.parts import Section, text
from util.report.write import write_pages, write_pictures
from util.words import counted

SUSPECTS = "suspects.csv"
FIRST = ["number", "decision", "label", "predicted", "probability", "doubt", "alike"]  # columns
TO_DO = (
    f"Write what you decide into the column decision of {SUSPECTS}, which has the films under the"
    " same numbers: another label; the same label, to confirm it; leave out; or nothing, which"
    " changes nothing. A decision also holds for copies of the film that have its label. Then"
    f" generate_dataset.py --corrections {SUSPECTS}, with the flags of the dataset, applies them."
    " The test split is not in the sheet: its labels are not to be changed by what networks say."
)
HOW = (
    "Each film is named by the network that never saw its patient. On the right is what spoke for"
    " the class that it says, the brighter the more, each on a scale of its own. The doubt is the"
    " margin by which another class is likelier than the label, by the network's logits and by how"
    " common both are among the source's other films, in standard deviations from the mean of the"
    " fold. A patient's films stand together, at the place of the most doubted. A label that is"
    " rare in its source is doubted for that, and may be right; beside each film stands how many"
    " films of the source have it."
)


def write_label_sheet(
    folder: Path, films: pd.DataFrame, pictures: Sequence[bytes], summary: Mapping
) -> Path:
    """Writes the sheet and returns the path of the page.

    films: rows of `util.metrics.label_doubt.suspects`, as they shall stand. pictures: of each, a
    PNG. summary: classes, and how many `images` there are of how many `patients`, of which how many
    are `suspects`.
    """
    films = films.assign(number=range(1, len(films) + 1), decision="")
    left = [name for name in films if not name.startswith("logit(") and name != "truth"]
    with atomic_path(folder / SUSPECTS) as temporary:
        shown = films[list(dict.fromkeys(FIRST + left))]
        shown.to_csv(temporary, index=False, encoding="utf-8-sig")  # which Excel reads as UTF-8
    rows = films.to_dict("records")
    gallery = [
        (picture, row["original"], _title(row)) for picture, row in zip(pictures, rows, strict=True)
    ]
    said = f"The networks name {counted(summary['suspects'], 'image')} otherwise than the label."
    said += f" Here are the {len(films):,} whose labels they doubt most."
    content = {"headline": {"state": "", "sentence": said}, "verdicts": (), "warnings": ()}
    content |= summary
    sections = [
        Section("What to do", TO_DO),
        Section("Films", HOW, figures=write_pictures(folder, gallery, True), kind="gallery large"),
    ]
    return write_pages(folder, "COVID-Next label sheet", content, [], sections)


def _title(row: Mapping) -> str:
    place = [row["source"], row.get("hospital"), row["view"] or "unknown view"]
    return (
        f"{row['number']}. Label {row['label']}, doubted for {row['predicted']}, which has"
        f" {text(row['probability'])}; doubt {row['doubt']:.1f}. {', '.join(filter(None, place))}."
        f" Patient {row['patient_id']}. One of {counted(row['alike'], 'film')} of {row['source']}"
        f" with this label. {row['original']}"
    )

"""Makes a dataset folder from the public sources: images of one size, split by patient, metadata.

python3 generate_dataset.py dataset --covid-chestxray DIR --rsna DIR
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from data.record import clean_view
from data.sources import SOURCES, read
from util.flags import Parser, demand
from util.script import draw_without_display, run, while_importing

# The arguments that determine the dataset, saved in dataset.json.
ARGUMENTS = (
    "sources", "sample", "size", "fit", "equalize", "test_size", "val_size", "split_from",
    "views", "seed",
)  # fmt: skip

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="generate_dataset.py", description=__doc__)
    add = parser.add_argument
    add("save_path", metavar="SAVE_PATH", help="folder to make, new or empty")
    group = parser.add_argument_group("sources, any mix of them")
    for name, source in SOURCES.items():
        if name == "table":
            group.add_argument(
                "--table", metavar="FILE.csv", action="append", help=source.DESCRIPTION
            )
        else:
            group.add_argument(f"--{name}", metavar="DIR", help=source.DESCRIPTION)
    text = "draw synthetic radiographs into SAVE_PATH-raw, laid out as the sources; use those"
    add("--sample", action="store_true", help=text)
    text = "width and height of the PNGs, pixels; below 256 a few near copies may be missed. auto:"
    text += " the largest multiple of 32, up to 256, at which no source is scaled up over a tenth"
    add("--size", type=pixels_or_auto, default=256, metavar="PIXELS|auto", help=text)
    text = "how an image becomes square: squash both sides, pad with black, or crop the longer"
    add("--fit", choices=["squash", "pad", "crop"], default="squash", help=text)
    add("--equalize", action="store_true", help="equalise the histogram of each image")
    add("--test-size", type=float, default=0.1, help="part of the images in test")
    add("--val-size", type=float, default=0.1, help="part of the images in val")
    text = "earlier dataset folder: its patients stay where they are, new ones are placed"
    add("--split-from", metavar="DATASET", help=text)
    text = (
        "a reviewer's decisions on films, as evaluate.py --suspects writes them: a label or leave"
    )
    text += " out; repeatable. Patients stay in the split that they would have without decisions"
    add("--corrections", metavar="FILE.csv", action="append", default=[], help=text)
    text = "projections to keep, as the metadata or the DICOM header names them; an image without"
    text += " a view is kept if its source has only frontal ones"
    views = ["PA", "AP", "AP Supine", "AP Erect"]
    add("--views", nargs="+", type=clean_view, metavar="VIEW", default=views, help=text)
    add("--seed", type=int, default=1337, help="draws the split and the sample")
    add("--workers", type=int, default=os.cpu_count(), help="processes that read images")
    args = parser.parse_args()
    given = {name: getattr(args, name.replace("-", "_")) for name in SOURCES}
    args.sources = {name: folder for name, folder in given.items() if folder}
    if args.sample and args.sources:
        parser.error("--sample makes its own sources; give no source flag with it")
    if not args.sample and not args.sources:
        flags = ", ".join(f"--{name}" for name in SOURCES)
        parser.error(f"no source given; expected --sample or one or more of {flags}")
    demand(parser, args, ("seed", "val_size", "test_size"), 0)
    demand(parser, args, ("workers",), 1)
    if args.size != "auto":
        demand(parser, args, ("size",), 16, 4096)
    if args.test_size + args.val_size >= 1:
        parser.error(
            "--test-size and --val-size: nothing is left to train on; expected a sum below 1"
        )
    return args


def pixels_or_auto(word: str) -> int | str:
    return word if word == "auto" else int(word)


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing("generate_dataset.py")
    draw_without_display()

if __name__ != "__mp_main__":  # workers run this script under that name; these imports are slow
    import numpy as np
    import pandas as pd
    from tqdm import tqdm

    from data.audit.cheats import cheat_scores, source_in_pictures
    from data.audit.counts import audit_columns, count_reasons, describe, summary
    from data.audit.upscaling import size_by_headers, upscaling
    from data.copies.groups import exact_groups, join_groups, list_groups, near_groups
    from data.dataset_folder import (
        add_pictures,
        read_about,
        read_split,
        read_table,
        staging,
        write_tables,
    )
    from data.images.preparation import Preparation
    from data.images.radiograph import read_radiograph
    from data.prepare import Prepared, prepare
    from data.record import Dropped, Record
    from data.sample import NOTE, write_sample
    from data.selection.corrections import correct, read_corrections
    from data.selection.exclusions import exclude_copies, exclude_unwanted
    from data.split import SPLITS, check_splits, split_patients
    from data.split.rules import allowed_splits, earlier_splits, split_rules
    from util.files import errors_name, require_folder, write_json
    from util.plots.dataset import plot_dataset
    from util.versions import versions


def main(args: argparse.Namespace) -> None:
    earlier = read_earlier(args.split_from)
    save_path = Path(args.save_path).resolve()  # a link or `.` becomes the folder itself
    with staging(save_path) as folder:
        sources = draw_sample(save_path, args.seed) if args.sample else args.sources
        records, dropped = read_sources(sources)
        decisions = read_corrections(args.corrections, records)

        prepared = folder / "images"
        size = args.size if args.size != "auto" else find_size(records, args.fit)
        preparation = Preparation(size, args.fit, args.equalize)
        images, unreadable = prepare_images(records, prepared, preparation, args.workers)
        images = [replace(image, rules=split_rules(image.record, earlier)) for image in images]
        images, duplicates = find_copies(images, prepared, args.workers)

        wanted, unwanted = exclude_unwanted(images, args.views)
        # The rules of a copy that is left out still bind its patient.
        allowed = allowed_splits([i.record.patient_id for i in wanted], [i.rules for i in wanted])
        shares = (1 - args.val_size - args.test_size, args.val_size, args.test_size)
        if decisions:  # they move no patient who has a split without them
            before, _ = exclude_copies(wanted)
            splits = draw_splits(before, shares, args.seed, allowed)
            allowed |= {i.record.patient_id: [s] for i, s in zip(before, splits, strict=True)}
        wanted, reviewed, corrections = correct(wanted, decisions)
        kept, copies = exclude_copies(wanted)
        if not kept:
            raise ValueError(nothing_left(copies + reviewed + unwanted, "used"))
        dropped += unreadable + copies + reviewed + unwanted
        splits = assign_splits(kept, shares, args.seed, allowed)

        fingerprint = write_tables(folder, prepared, kept, splits, dropped)
        shutil.rmtree(prepared)  # only images that were not kept are left: lateral views, copies
        tables = {
            name: add_pictures(folder, audit_columns(read_table(folder, name))) for name in SPLITS
        }
        resolved = {"sources": sources, "size": size}
        about = {
            "arguments": {name: getattr(args, name) for name in ARGUMENTS} | resolved,
            **describe(tables),
            "dropped": count_reasons(dropped),
            **({"corrections": corrections} if args.corrections else {}),
            "duplicates": duplicates,
            "alone": cheat_scores(tables),
            "source_in_pictures": {
                name: source_in_pictures(tables["train"], tables[name]) for name in ("val", "test")
            },
            "upscaling": upscaling(pd.concat(tables.values()), size, args.fit),
            "fingerprint": fingerprint,
            "versions": versions(),
        }
        plot_dataset(tables, about["alone"], partial(read_image, folder), folder / "audit.png")
        write_json(folder / "dataset.json", about)
    print(summary(about, tables))
    print(f"\nLook at {Path(args.save_path) / 'audit.png'}")


def read_earlier(folder: str | None) -> dict[str, str]:
    """The splits of an earlier dataset's patients and images, see `earlier_splits`."""
    if folder is None:
        return {}
    require_folder(folder, "expected an earlier dataset folder")
    tables = {split: read_split(Path(folder), split).to_dict("records") for split in SPLITS}
    return earlier_splits(tables, read_about(Path(folder)).get("duplicates", []))


def draw_sample(save_path: Path, seed: int) -> dict[str, str]:
    """Synthetic sources beside the dataset: name -> folder."""
    raw = save_path.with_name(save_path.name + "-raw")
    if raw.exists():
        if not (raw / NOTE).exists():
            raise FileExistsError(f"{raw}: exists and was not drawn by --sample; move it away")
        shutil.rmtree(raw)
    log.info("Drawing synthetic radiographs into %s", raw)
    with errors_name(raw):
        return {name: str(folder) for name, folder in write_sample(raw, seed).items()}


def read_sources(given: Mapping[str, str | list[str]]) -> tuple[list[Record], list[Dropped]]:
    """given: the folder of each source, and the files of `table`."""
    records, dropped, place_of = [], [], {}
    for name, places in given.items():
        for place in [places] if isinstance(places, str) else places:
            of_source, left_out = read(name, Path(place))
            for source in sorted({item.source for item in (*of_source, *left_out)}):
                if (other := place_of.setdefault(source, place)) != place:
                    raise ValueError(
                        f"{place}: the source {source} is also in {other}; expected each source in"
                        " one place. Give it another name in the table's column source"
                    )
            records += of_source
            dropped += left_out
    return records, dropped


def find_size(records: Sequence[Record], fit: str) -> int:
    size = size_by_headers(records, fit)
    log.info("--size auto: %d pixels", size)
    return size


def prepare_images(
    records: Sequence[Record], folder: Path, preparation: Preparation, workers: int
) -> tuple[list[Prepared], list[Dropped]]:
    """Writes the images to `folder`; returns them, and the unreadable ones with the reason."""
    folder.mkdir()
    images, dropped = [], []
    results = prepare(records, folder, preparation, workers)
    for item in tqdm(results, "Images", len(records), unit=" images", disable=None):
        (dropped if isinstance(item, Dropped) else images).append(item)
    if not images:
        raise ValueError(nothing_left(dropped, "read"))
    return images, dropped


def nothing_left(dropped: Sequence[Dropped], use: str) -> str:
    reason = Counter(item.reason for item in dropped).most_common(1)[0][0]
    return f"none of {len(dropped)} images can be {use}; most often: {reason}"


def find_copies(
    images: Sequence[Prepared], folder: Path, workers: int
) -> tuple[list[Prepared], list[dict]]:
    """The images with one patient for all copies, and the groups of copies for dataset.json."""
    log.info("Looking for copies among %d images", len(images))
    exact = exact_groups(images)
    progress = partial(tqdm, desc="Near copies", unit=" blocks", disable=None)
    near = near_groups(images, exact, folder, workers, progress)
    return join_groups(images, exact, near), list_groups(images, exact, near)


def assign_splits(
    images: Sequence[Prepared], shares: Sequence[float], seed: int, allowed: Mapping
) -> list[str]:
    """The split of each image; shares: fractions of train, val and test."""
    splits = draw_splits(images, shares, seed, allowed)
    reason = "by the rules of the split" if allowed else "too few patients"
    check_splits([image.record.label for image in images], splits, shares, reason)
    return splits


def draw_splits(
    images: Sequence[Prepared], shares: Sequence[float], seed: int, allowed: Mapping
) -> list[str]:
    records = [image.record for image in images]
    patients = [record.patient_id for record in records]
    strata = [(record.label, record.source) for record in records]
    return split_patients(patients, strata, shares, seed, allowed)


def read_image(folder: Path, split: str, name: str) -> np.ndarray:
    return np.asarray(read_radiograph(folder / split / name))


if __name__ == "__main__":
    run(lambda: main(args), "generate_dataset.py")

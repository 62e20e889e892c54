"""Makes a dataset folder from the public sources: images of one size, split by patient, metadata.

python3 generate_dataset.py dataset --covid-chestxray DIR --rsna DIR
"""

import argparse
import logging
import os
import shutil
from collections import Counter
from pathlib import Path

from data.record import Dropped, Record, clean_view, drop
from data.sources import SOURCES
from data.split import SPLITS
from util.flags import Parser, demand
from util.script import run

# What the dataset depends on, beside the sources' files; dataset.json has it.
ARGUMENTS = (
    "sources", "sample", "size", "fit", "equalize", "test_size", "val_size", "views", "seed"
)  # fmt: skip

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="generate_dataset.py", description=__doc__)
    parser.add_argument("save_path", metavar="SAVE_PATH", help="folder to make, new or empty")
    for name, source in SOURCES.items():
        parser.add_argument(f"--{name}", metavar="DIR", help=source.DESCRIPTION)
    parser.add_argument(
        "--sample",
        action="store_true",
        help="draw synthetic radiographs into SAVE_PATH-raw, laid out as the sources; use those",
    )
    parser.add_argument(
        "--size", type=int, default=256, help="width and height of the PNGs, pixels"
    )
    parser.add_argument(
        "--fit",
        choices=["squash", "pad", "crop"],
        default="squash",
        help="how an image becomes square: squash both sides, pad with black, or crop the longer",
    )
    parser.add_argument(
        "--equalize", action="store_true", help="equalise the histogram of each image"
    )
    parser.add_argument("--test-size", type=float, default=0.1, help="part of the images in test")
    parser.add_argument("--val-size", type=float, default=0.1, help="part of the images in val")
    parser.add_argument(
        "--views",
        nargs="+",
        type=clean_view,
        metavar="VIEW",
        default=["PA", "AP", "AP Supine", "AP Erect"],
        help="projections to keep, as the metadata or the DICOM header names them",
    )
    parser.add_argument("--seed", type=int, default=1337, help="draws the split and the sample")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes that read images"
    )
    args = parser.parse_args()
    given = {name: getattr(args, name.replace("-", "_")) for name in SOURCES}
    args.sources = {name: folder for name, folder in given.items() if folder}
    if args.sample and args.sources:
        parser.error("--sample makes its own sources; give it alone")
    if not args.sample and not args.sources:
        flags = ", ".join(f"--{name}" for name in SOURCES)
        parser.error(f"no source given; expected --sample or one or more of {flags}")
    demand(parser, args, ("seed", "val_size", "test_size"), 0)
    demand(parser, args, ("workers",), 1)
    demand(parser, args, ("size",), 16, 4096)
    if args.test_size + args.val_size >= 1:
        parser.error(
            "--test-size and --val-size: nothing is left to train on; expected a sum below 1"
        )
    return args


def main(args: argparse.Namespace) -> None:
    from data.audit import counts, describe, reasons
    from data.folder import read_table, staging, write_tables
    from util.files import write_json
    from util.versions import versions

    with staging(Path(args.save_path)) as folder:
        if args.sample:
            args.sources = draw_sample(Path(args.save_path), args.seed)
        records, dropped = read_sources(args.sources)
        images = folder / "images"
        images.mkdir()
        kept, unusable = prepare_images(records, images, args)
        dropped += unusable
        kept = join_copies(kept)
        splits = share_out(kept, args)
        fingerprint = write_tables(folder, images, kept, splits, dropped)
        shutil.rmtree(images)  # what was read but not kept, such as lateral views
        tables = {split: read_table(folder, split) for split in SPLITS}
        alone = {
            split: source_alone(tables, split) for split in ("val", "test") if len(tables[split])
        }
        about = {
            "arguments": {name: getattr(args, name) for name in ARGUMENTS},
            **describe(tables),
            "dropped": reasons(dropped),
            "source_alone": alone,
            "fingerprint": fingerprint,
            "versions": versions(),
        }
        write_json(folder / "dataset.json", about)

    print(counts(tables))
    print(f"\n{len(kept)} images kept, {len(dropped)} rows left out (dropped.csv has each):")
    for reason, rows in about["dropped"].items():
        print(f"{rows:6d}  {reason}")
    print("\nWithout a pixel, the source alone names the class with this accuracy:")
    for split, score in alone.items():
        print(f"{split:>6}  {score['value']:.2f}  ({score['low']:.2f} - {score['high']:.2f})")


def draw_sample(save_path: Path, seed: int) -> dict[str, str]:
    from data.sample import NOTE, write_sample

    raw = save_path.with_name(save_path.name + "-raw")
    if raw.exists():
        if not (raw / NOTE).exists():
            raise FileExistsError(f"{raw}: exists and was not drawn by --sample; move it away")
        shutil.rmtree(raw)
    log.info("Drawing synthetic radiographs into %s", raw)
    return dict(zip(SOURCES, map(str, write_sample(raw, seed)), strict=True))


def read_sources(folders: dict[str, str]) -> tuple[list[Record], list[Dropped]]:
    records, dropped = [], []
    for name, folder in folders.items():
        found, left_out = SOURCES[name].read(Path(folder))
        if not found:
            reasons = Counter(item.reason for item in left_out).most_common(1)
            why = f"; most often: {reasons[0][0]}" if reasons else ""
            raise ValueError(f"{folder}: none of its {len(left_out)} rows can be used{why}")
        records += found
        dropped += left_out
    return records, dropped


def prepare_images(
    records: list[Record], images: Path, args: argparse.Namespace
) -> tuple[list, list]:
    """What is written and of a wanted view, and what is left out, with the reason."""
    from tqdm import tqdm

    from data.preparation import Preparation
    from data.prepare import prepare

    kept, dropped = [], []
    preparation = Preparation(args.size, args.fit, args.equalize)
    results = prepare(records, images, preparation, args.workers)
    for item in tqdm(results, "Images", len(records), unit=" images", disable=None):
        if isinstance(item, Dropped):
            dropped.append(item)
        elif item.record.view not in args.views:
            view = item.record.view or "unknown"
            dropped.append(drop(item.record, f"view {view}, not one of {', '.join(args.views)}"))
        else:
            kept.append(item)
    if not kept:
        reason = Counter(item.reason for item in dropped).most_common(1)[0][0]
        raise ValueError(f"none of {len(records)} images can be used; most often: {reason}")
    return kept, dropped


def join_copies(kept: list) -> list:
    """The images with one patient where two have the very same pixels, under two ids."""
    from data.patients import join_patients

    before = [item.record.patient_id for item in kept]
    after = join_patients(before, [item.digest for item in kept])
    return [item.of_patient(patient) for item, patient in zip(kept, after, strict=True)]


def share_out(kept: list, args: argparse.Namespace) -> list[str]:
    from data.split import split_patients

    records = [item.record for item in kept]
    splits = split_patients(
        [record.patient_id for record in records],
        [(record.label, record.source) for record in records],
        (1 - args.val_size - args.test_size, args.val_size, args.test_size),
        args.seed,
    )
    there = {(record.label, split) for record, split in zip(records, splits, strict=True)}
    wanted = [
        name for name, size in zip(SPLITS, (1, args.val_size, args.test_size), strict=True) if size
    ]
    for label in sorted({record.label for record in records}):
        empty = [split for split in wanted if (label, split) not in there]
        if empty:
            log.warning("%s: too few patients; none is in %s", label, " and ".join(empty))
    return splits


def source_alone(tables: dict, split: str) -> dict[str, float]:
    """Accuracy of naming each image after the commonest class that its source has in train."""
    from data.audit import guess_by
    from util.intervals import clustered_wilson

    images = tables[split]
    hits = (images["label"] == guess_by("source", tables["train"], images)).to_numpy()
    low, high = clustered_wilson(hits, images["patient_id"].to_numpy())
    return {"value": hits.mean(), "low": low, "high": high}


if __name__ == "__main__":
    args = arguments()
    run(lambda: main(args), "generate_dataset.py")

"""Makes a dataset folder from the public sources: images of one size, split by patient, metadata.

python3 generate_dataset.py dataset --covid-chestxray DIR --rsna DIR
"""

import argparse
import logging
import os
import shutil
from collections import Counter
from pathlib import Path

from util.flags import Parser, demand
from util.script import quit_on_ctrl_c, run

if __name__ == "__main__":
    quit_on_ctrl_c("generate_dataset.py")

from data.record import Dropped, Record, clean_view, drop
from data.sources import SOURCES, read
from data.split import SPLITS
from data.split_rules import is_of

# What the dataset depends on, beside the sources' files; dataset.json has it.
ARGUMENTS = (
    "sources", "sample", "size", "fit", "equalize", "test_size", "val_size", "hold_out_source",
    "split_from", "views", "seed",
)  # fmt: skip

MOST_SHOWN = 12  # reasons or patients on screen

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
        "--size",
        type=int,
        default=256,
        help="width and height of the PNGs, pixels; below 256 a few near copies may be missed",
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
        "--hold-out-source",
        metavar="NAME",
        help="make test of this source, or part of one (covidx-sirm), alone, whatever --test-size"
        " or another source's own split says: a hospital that training never saw",
    )
    parser.add_argument(
        "--split-from",
        metavar="DATASET",
        help="earlier dataset folder: its patients stay where they are, new ones are placed",
    )
    parser.add_argument(
        "--views",
        nargs="+",
        type=clean_view,
        metavar="VIEW",
        default=["PA", "AP", "AP Supine", "AP Erect"],
        help="projections to keep, as the metadata or the DICOM header names them; siim, covidx and"
        " folder have frontal images alone, which are kept if the view is not told",
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
    if args.hold_out_source and args.split_from:
        parser.error("--hold-out-source and --split-from contradict each other; give one of them")
    demand(parser, args, ("seed", "val_size", "test_size"), 0)
    demand(parser, args, ("workers",), 1)
    demand(parser, args, ("size",), 16, 4096)
    if args.test_size + args.val_size >= 1:
        parser.error(
            "--test-size and --val-size: nothing is left to train on; expected a sum below 1"
        )
    return args


def main(args: argparse.Namespace) -> None:
    from data.audit import CHEATS, audit_columns, describe, reasons
    from data.copies.groups import join_groups, list_groups, surplus
    from data.dataset_folder import read_table, staging, write_tables
    from data.exclusions import other_views, outsiders
    from data.split_rules import allowed_places
    from util.files import write_json
    from util.versions import versions

    earlier = earlier_dataset(args.split_from)
    save_path = Path(args.save_path).resolve()  # of a link, or of `.`, the folder itself
    with staging(save_path) as folder:
        if args.sample:
            args.sources = draw_sample(save_path, args.seed)
        records, dropped = read_sources(args.sources, args.hold_out_source)
        images = folder / "images"
        images.mkdir()
        found, unreadable = prepare_images(records, images, args)
        exact, near = find_copies(found, images, args.workers)
        copies = list_groups(found, exact, near)
        # By the ids of the sources, before those of one patient are joined
        places = [allowed_places(item.record, earlier, args.hold_out_source) for item in found]
        found = join_groups(found, [*exact, *near])

        # Who is left out: reason by index in `found`
        of_found = [item.record for item in found]
        unwanted = other_views(of_found, args.views) | outsiders(of_found, args.hold_out_source)
        exact, near = (
            [[k for k in group if k not in unwanted] for group in groups]
            for groups in (exact, near)
        )
        left_out = surplus(found, exact, near) | unwanted
        kept = [item for k, item in enumerate(found) if k not in left_out]
        dropped += unreadable + [drop(found[k].record, why) for k, why in left_out.items()]
        if not kept:
            reason = Counter(left_out.values()).most_common(1)[0][0]
            raise ValueError(f"none of {len(found)} images can be used; most often: {reason}")

        # Who goes where
        bound = [k for k in range(len(found)) if k not in unwanted]
        allowed = settle([found[k].record.patient_id for k in bound], [places[k] for k in bound])
        splits = share_out([item.record for item in kept], allowed, args)

        # The folder
        fingerprint = write_tables(folder, images, kept, splits, dropped)
        shutil.rmtree(images)  # what was read but not kept, such as lateral views
        shapes = {item.filename: (item.width, item.height) for item in kept}
        tables = {split: audit_columns(read_table(folder, split), shapes) for split in SPLITS}
        about = {
            "arguments": {name: getattr(args, name) for name in ARGUMENTS},
            **describe(tables),
            "dropped": reasons(dropped),
            "duplicates": copies,
            "alone": {name: scores(name, tables) for name in CHEATS},
            "fingerprint": fingerprint,
            "versions": versions(),
        }
        draw(folder, tables, about["alone"])
        write_json(folder / "dataset.json", about)
    print_summary(about, tables)
    print(f"\nLook at {Path(args.save_path) / 'audit.png'}")


def draw_sample(save_path: Path, seed: int) -> dict[str, str]:
    from data.sample import NOTE, write_sample

    raw = save_path.with_name(save_path.name + "-raw")
    if raw.exists():
        if not (raw / NOTE).exists():
            raise FileExistsError(f"{raw}: exists and was not drawn by --sample; move it away")
        shutil.rmtree(raw)
    log.info("Drawing synthetic radiographs into %s", raw)
    return {name: str(folder) for name, folder in write_sample(raw, seed).items()}


def read_sources(
    folders: dict[str, str], hold_out: str | None
) -> tuple[list[Record], list[Dropped]]:
    records, dropped = [], []
    for name, folder in folders.items():
        found, left_out = read(name, Path(folder))
        records += found
        dropped += left_out
    names = sorted({record.source for record in records})
    if hold_out and not any(is_of(name, hold_out) for name in names):
        raise ValueError(f"--hold-out-source: found {hold_out}; expected one of {', '.join(names)}")
    return records, dropped


def prepare_images(
    records: list[Record], images: Path, args: argparse.Namespace
) -> tuple[list, list]:
    """What is written, and what cannot be read, with the reason."""
    from tqdm import tqdm

    from data.images.preparation import Preparation
    from data.prepare import prepare

    found, dropped = [], []
    preparation = Preparation(args.size, args.fit, args.equalize)
    results = prepare(records, images, preparation, args.workers)
    for item in tqdm(results, "Images", len(records), unit=" images", disable=None):
        if isinstance(item, Dropped):
            dropped.append(item)
        else:
            found.append(item)
    if not found:
        reason = Counter(item.reason for item in dropped).most_common(1)[0][0]
        raise ValueError(f"none of {len(records)} images can be read; most often: {reason}")
    return found, dropped


def earlier_dataset(folder: str | None) -> dict[str, str]:
    """Where the patients and images of an earlier dataset are."""
    from data.dataset_folder import read_about, read_split
    from data.split_rules import earlier_places

    if folder is None:
        return {}
    tables = {split: read_split(Path(folder), split).to_dict("records") for split in SPLITS}
    return earlier_places(tables, read_about(Path(folder)).get("duplicates", []))


def find_copies(found: list, images: Path, workers: int) -> tuple[list[list[int]], list[list[int]]]:
    """Groups of indices: the same pixels, and one radiograph resized, recompressed, cropped."""
    from functools import partial

    from tqdm import tqdm

    from data.copies.groups import exact_groups, near_groups

    log.info("Looking for copies among %d images", len(found))
    exact = exact_groups(found)
    progress = partial(tqdm, desc="Near copies", unit=" blocks", disable=None)
    return exact, near_groups(found, exact, images, workers, progress)


def settle(patients: list[str], places: list) -> dict:
    """The splits that each patient may go to; a warning for whom the rules contradict."""
    from data.split_rules import settle_patients

    allowed, torn = settle_patients(patients, places)
    if allowed:
        log.info("%d of %d patients are bound to a split", len(allowed), len(set(patients)))
    for patient, said in list(torn.items())[:MOST_SHOWN]:
        log.warning(
            "%s: is in %s of its source's own split or the earlier dataset; goes to %s",
            patient, said, allowed[patient][0],
        )  # fmt: skip
    if len(torn) > MOST_SHOWN:
        log.warning("... and so are %d more patients", len(torn) - MOST_SHOWN)
    return allowed


def share_out(records: list[Record], allowed: dict, args: argparse.Namespace) -> list[str]:
    from data.split import split_patients

    splits = split_patients(
        [record.patient_id for record in records],
        [(record.label, record.source) for record in records],
        (1 - args.val_size - args.test_size, args.val_size, args.test_size),
        args.seed,
        allowed,
    )
    there = {(record.label, split) for record, split in zip(records, splits, strict=True)}
    wanted = [
        name for name, size in zip(SPLITS, (1, args.val_size, args.test_size), strict=True) if size
    ]
    for label in sorted({record.label for record in records}):
        empty = [split for split in wanted if (label, split) not in there]
        if empty:
            why = "by the rules of the split" if allowed else "too few patients"
            log.warning("%s: %s, none is in %s", label, why, " and ".join(empty))
    if "train" not in splits:
        raise ValueError("no image is left to train on; expected sources beside the one held out")
    return splits


def scores(column: str, tables: dict) -> dict[str, dict[str, float]]:
    """Accuracy in val and test of naming each image after what its `column` means in train."""
    from data.audit import guess_by
    from util.metrics.intervals import clustered_wilson

    result = {}
    for split in ("val", "test"):
        images = tables[split]
        if len(images):
            hits = (images["label"] == guess_by(column, tables["train"], images)).to_numpy()
            low, high = clustered_wilson(hits, images["patient_id"].to_numpy())
            result[split] = {"value": hits.mean(), "low": low, "high": high}
    return result


def draw(folder: Path, tables: dict, alone: dict) -> None:
    import numpy as np

    from data.images.radiograph import read_radiograph
    from util.plots.dataset import plot_dataset

    def read(split: str, name: str) -> np.ndarray:
        return np.asarray(read_radiograph(folder / split / name))

    plot_dataset(tables, alone, read, folder / "audit.png")


def print_summary(about: dict, tables: dict) -> None:
    from data.audit import counts

    print(counts(tables))
    dropped = sum(about["dropped"].values())
    images = sum(about["images"].values())
    print(f"\n{images} images kept, {dropped} rows left out (dropped.csv has each):")
    for reason, rows in list(about["dropped"].items())[:MOST_SHOWN]:
        print(f"{rows:6d}  {reason}")
    if len(about["dropped"]) > MOST_SHOWN:
        print(f"        and {len(about['dropped']) - MOST_SHOWN} more kinds of reasons")
    near = sum(group["kind"] == "near" for group in about["duplicates"])
    print(f"\n{near} groups of near copies, each on one side (dataset.json has them).")
    print("\nWithout a pixel, this alone names the class with this accuracy (95 %):")
    for name, score in about["alone"].items():
        row = (
            f"{split} {s['value']:.2f} ({s['low']:.2f} - {s['high']:.2f})"
            for split, s in score.items()
        )
        print(f"{name:>12}  {'   '.join(row)}")


if __name__ == "__main__":
    args = arguments()
    run(lambda: main(args), "generate_dataset.py")

"""Speed and memory, side by side with the plain recipe, as ratios of one run on one machine.

python3 -m benchmarks --covid-chestxray DIR --rsna DIR              all pairs, in one table
python3 -m benchmarks loader --covid-chestxray DIR --rsna DIR
python3 -m benchmarks recipes --dataset DIR                         scores of recipes; takes hours
python3 -m benchmarks quality --dataset DIR                         minutes to a score
python3 -m benchmarks covidx DIR                                    what lists of COVIDx give away
python3 -m benchmarks labels --dataset DIR                          flips labels, to be found again
python3 -m benchmarks gain --of CSV ... --over CSV ...              what one group of models gains
"""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

from data.sources import SOURCES
from util.flags import Parser, demand
from util.script import run

# A benchmark is a module in speed/ with run(args) -> the rows of its table.
PAIRS = {
    "generate": "generate_dataset.py against full-size copies in one process",
    "loader": "training images, against reading and varying full-size RGB",
    "step": "a training step, against float32, NCHW and Adam",
    "epoch": "an epoch of train.py, against as many steps on one batch in memory",
    "predict": "minimal_prediction.py with torch and with ONNX Runtime, against a plain script",
    "report": "evaluate.py with its whole report, against one forward pass over the test split",
}


def arguments() -> argparse.Namespace:
    parser = Parser(prog="benchmarks", description=__doc__)
    kinds = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    for name, text in {**PAIRS, "all": "all of these"}.items():
        kind = kinds.add_parser(name, help=text)
        kind.add_argument("--rounds", type=int, default=3, help="times that each of a pair runs")
        if name != "generate":
            kind.add_argument("--size", type=int, default=256, help="of the images, pixels")
            kind.add_argument("--batch-size", type=int, default=16, help="images per step")
        if name in ("predict", "all"):
            kind.add_argument("--images", type=int, default=200, help="predict: files")
        if name != "step":
            for source, module in SOURCES.items():
                kind.add_argument(f"--{source}", metavar="DIR", help=module.DESCRIPTION)
    growth = kinds.add_parser(
        "growth", help="generate_dataset.py on growing numbers of sample images"
    )
    growth.add_argument("--images", type=int, nargs="+", default=[1000, 5000, 20000], metavar="N")
    growth.add_argument("--size", type=int, default=64, help="of the drawn images, pixels")
    study = kinds.add_parser("recipes", help="scores of training recipes, over seeds")
    quality = kinds.add_parser("quality", help="minutes until a recipe validates as well as asked")
    of_recipes(study, ["original", "plain", "ours"], [1, 2, 3])
    study.add_argument("--epochs", type=int, default=40, help="of each training")
    of_recipes(quality, ["plain", "quick"], [1])
    quality.add_argument(
        "--epochs", type=int, nargs="+", default=[50, 20], metavar="N", help="one for each recipe"
    )
    quality.add_argument(
        "--score", type=float, default=0.88, help="macro AUROC on validation that ends a training"
    )
    study.add_argument(
        "--folds", action="store_true",
        help="cross-validate in three folds of train and validation, one for each seed; the test"
        " split is not read",
    )  # fmt: skip
    study.add_argument(
        "--jobs", type=int, default=1, help="trainings at the same time; a GPU has room for many"
    )
    study.add_argument(
        "--ckpts-dir", type=Path, default=Path("experiments/recipes"), metavar="DIR",
        help="where the folders of runs are",
    )  # fmt: skip
    study.add_argument(
        "--results", type=Path, default=Path("benchmarks/recipes/recipes.csv"), metavar="FILE",
        help="table of finished runs; a run that has a line there is not repeated",
    )  # fmt: skip
    covidx = kinds.add_parser("covidx", help="COVIDX.md: what the label files of COVIDx give away")
    files = "with label files of COVIDx, or with folders of them"
    covidx.add_argument("folders", nargs="*", type=Path, metavar="DIR", help=files)
    covidx.add_argument("--sample", action="store_true", help="the lists that the tests draw")
    labels = kinds.add_parser(
        "labels", help="flips labels on purpose, and counts those that evaluate.py --suspects finds"
    )
    labels.add_argument("--dataset", type=Path, default=Path("dataset"), help="dataset folder")
    text = "with folds, trained on the dataset whose labels were flipped; without it corrections"
    text += " that flip labels are printed, for generate_dataset.py"
    labels.add_argument("--run", type=Path, metavar="DIR", help=text)
    text = "of the images of each label that are flipped; of all images that are doubted most"
    labels.add_argument("--share", type=float, default=0.05, help=text)
    labels.add_argument("--seed", type=int, default=1, help="draws the flips")
    gain = kinds.add_parser("gain", help="what one group of models gains over another, by patient")
    tables = "predictions.csv of evaluate.py or out_of_fold.csv, one for each model"
    for name in ("of", "over"):
        gain.add_argument(
            f"--{name}", type=Path, nargs="+", required=True, metavar="CSV", help=tables
        )
    gain.add_argument("--seed", type=int, default=0, help="draws the patients of the intervals")
    for name, kind in kinds.choices.items():
        if name == "covidx":
            continue
        if name not in ("step", "predict", "recipes", "quality", "labels", "gain"):
            kind.add_argument("--workers", type=int, default=2, help="processes that read images")
        kind.add_argument("--json", action="store_true", help="print JSON in place of a table")
    words = sys.argv[1:]
    if not words or (words[0].startswith("--") and words[0] != "--help"):
        words = ["all", *words]
    args = parser.parse_args(words)
    chosen = kinds.choices[args.benchmark]
    lowest = {"workers": 1, "size": 32, "rounds": 1, "batch_size": 1, "epochs": 1, "jobs": 1}
    for name in lowest.keys() & vars(args):
        demand(chosen, args, (name,), lowest[name])
    if args.benchmark == "labels":
        demand(chosen, args, ("share",), 0.001, 0.5)
    if args.benchmark in ("labels", "gain"):
        demand(chosen, args, ("seed",), 0)
    if args.benchmark == "growth" and min(args.images) < 16:
        chosen.error(f"--images: found {min(args.images)}; expected 16 or more")
    if args.benchmark == "recipes" and args.folds and len(args.seeds) > 3:
        chosen.error(f"--seeds: found {len(args.seeds)}; expected one for each of the three folds")
    if args.benchmark == "quality":
        demand(chosen, args, ("score",), 0, 1)
        if len(args.epochs) != len(args.recipes):
            chosen.error(f"--epochs: found {len(args.epochs)}; expected one for each of --recipes")
    if args.benchmark == "covidx" and bool(args.folders) == args.sample:
        chosen.error("expected folders with label files of COVIDx, or else --sample")
    if args.benchmark in ("predict", "all"):
        demand(chosen, args, ("images",), 2)
    return args


def of_recipes(parser: argparse.ArgumentParser, recipes: list[str], seeds: list[int]) -> None:
    """The arguments of benchmarks that train recipes."""
    parser.add_argument("--dataset", type=Path, default=Path("dataset"), help="dataset folder")
    parser.add_argument(
        "--recipes", nargs="+", default=recipes, metavar="NAME",
        help="original, plain, plain-zero-init, or train.py's: ours, one-view, adamw,"
        " adamw-growing, growing, balanced, balanced-source, effective, no-weights, no-smoothing,"
        " no-warmup, batch-16, batch-64, not-averaged, half-augmentation, clipped, float32, quick",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=seeds, metavar="N", help="one for each run"
    )
    parser.add_argument("--size", type=int, default=96, help="of the images, pixels")


def main(args: argparse.Namespace) -> None:
    if args.benchmark == "covidx":
        from benchmarks.covidx.text import text

        print(text(args), end="")
        return
    if args.benchmark == "labels" and not args.run:
        from benchmarks.label_flips import write_flips

        write_flips(args.dataset, args.share, args.seed)
        return
    from benchmarks.table import show

    names = PAIRS if args.benchmark == "all" else [args.benchmark]
    print(show([row for name in names for row in module_of(name).run(args)], args.json))


def module_of(benchmark: str) -> ModuleType:
    """The module whose `run` does a benchmark; importing it takes seconds."""
    elsewhere = {
        "recipes": "recipes.scores", "quality": "recipes.quality",
        "labels": "label_flips", "gain": "gain",
    }  # fmt: skip
    where = elsewhere.get(benchmark, f"speed.{benchmark}")
    return importlib.import_module(f"benchmarks.{where}")


if __name__ == "__main__":
    args = arguments()
    run(lambda: main(args), "benchmarks")

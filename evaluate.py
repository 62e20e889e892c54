"""Measures a model: is it right, does it know how sure it is, and what does it look at?

python3 evaluate.py experiments/NAME/best.pth                      on the test split
python3 evaluate.py pretrained                                     the network in pretrained/
python3 evaluate.py A.pth B.pth                                    is B better than A?
python3 evaluate.py best.pth --folder DIR                          on your own class folders
python3 evaluate.py best.pth --table FILE.csv                      on the films of your own table
python3 evaluate.py best.pth --coverage 0.9                        are its prediction sets right?
python3 evaluate.py experiments/NAME                               the folds of a run together
python3 evaluate.py experiments/NAME --suspects                    labels that its folds doubt
python3 evaluate.py --predictions FILE.csv --dataset DIR           any model, by what it said
python3 evaluate.py --embeddings FILE.npz --dataset DIR            any network, by a linear probe

Writes report.html, report.md, metrics.json, predictions.csv and the plots to evaluation-SPLIT/
beside the checkpoint, or to FILE/evaluation-SPLIT/. The only reader of the test split: choose
nothing by what it says about that. --suspects does not read it.
"""

import argparse
import logging
import shlex
import sys
from pathlib import Path

from util.flags import Parser, add_mapping, add_prevalence, demand, load_config
from util.script import NOTICE, draw_without_display, run, while_importing

config = load_config("evaluate.py")
SENSITIVITY = 0.95  # wanted where nothing else is
log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="evaluate.py", description=__doc__)
    add = parser.add_argument
    under_test = parser.add_mutually_exclusive_group(required=True)
    under_test.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        nargs="?",
        help="best.pth of a run, the folder of one with folds, the original's, an ONNX file, or"
        " pretrained",
    )
    said = "filename and p(CLASS) of each film of the split, as in predictions.csv"
    under_test.add_argument("--predictions", metavar="FILE.csv", help=said)
    gave = "arrays filenames (N,) and embeddings (N, D) of all films of the dataset"
    under_test.add_argument("--embeddings", metavar="FILE.npz", help=gave)
    better = "is it better than the first? Tested patient by patient"
    add("other", metavar="CHECKPOINT", nargs="?", help=better)
    where = parser.add_mutually_exclusive_group()
    own = "dataset folder; without it the checkpoint's own"
    where.add_argument("--dataset", metavar="DIR", help=own)
    where.add_argument("--folder", metavar="DIR", help="class folders, as class/patient/image")
    films = "CSV of films, as for generate_dataset.py"
    where.add_argument("--table", metavar="FILE.csv", help=films)
    which = "of the dataset; without it test, or the sources that the training left out"
    add("--split", choices=["train", "val", "test", "left-out"], help=which)
    add("--out", metavar="DIR", help="where to; without it beside the checkpoint")
    doubted = "of a run with folds: write the N films of train and val whose labels they doubt most"
    doubted += " (without N 50) to RUN/suspects/, for a reviewer and generate_dataset.py"
    add("--suspects", metavar="N", type=int, nargs="?", const=50, help=doubted)
    point = parser.add_mutually_exclusive_group()
    finds = f"wanted at the operating points; without it {SENSITIVITY}"
    point.add_argument("--sensitivity", type=float, metavar="SHARE", help=finds)
    passes = "wanted there in its place, such as 0.99 for few false alarms"
    point.add_argument("--specificity", type=float, metavar="SHARE", help=passes)
    sets = "adds prediction sets, which shall hold the true class in this share of new patients of"
    add("--coverage", type=float, metavar="SHARE", help=f"{sets} each class, such as 0.9")
    add_mapping(parser)
    add_prevalence(parser)
    add("--device", default=config.device, help="auto, cpu, cuda, cuda:1 or mps")
    add("--n-threads", type=int, default=config.n_threads, help="reading processes")
    add("--batch-size", type=int, default=32, help="images a forward pass")
    add("--seed", type=int, default=0, help="draws the bootstrap samples of patients")
    args = parser.parse_args()
    demand(parser, args, ("batch_size", "suspects"), 1)
    demand(parser, args, ("n_threads", "seed"), 0)
    demand(parser, args, ("sensitivity", "specificity"), 0.01, 1)
    demand(parser, args, ("coverage",), 0.01, 0.999)
    of_report = ("prevalence", "sensitivity", "specificity", "coverage")
    for flag in of_report:
        if args.other and getattr(args, flag) is not None:
            parser.error(f"--{flag}: found two checkpoints, which are compared as they are")
    own = next((name for name in ("folder", "table") if getattr(args, name)), None)
    if own and args.split:
        parser.error(f"--split: found --{own}, which has none; leave it out")
    file = next((name for name in ("predictions", "embeddings") if getattr(args, name)), None)
    if file and own:
        parser.error(f"--{own}: found --{file}, which go with a dataset folder; give --dataset")
    if args.predictions and args.split == "left-out":
        parser.error("--split: found left-out, which only the checkpoint of a training knows")
    if args.embeddings and args.split not in (None, "test"):
        parser.error(f"--split: found {args.split}; --embeddings are tested on test only")
    alien = (file, own, *(name for name in ("split", *of_report) if getattr(args, name)))
    if args.suspects and (args.other or any(alien)):
        found = next((f"--{name}" for name in alien if name), "two checkpoints")
        parser.error(f"--suspects: found {found}; expected the folder of a run with folds, only")
    if args.mapping and not file:
        parser.error("--mapping: found a checkpoint, which has its own; leave it out")
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing("evaluate.py")
    draw_without_display()

from collections.abc import Sequence
from functools import partial
from itertools import compress

import numpy as np
import pandas as pd
from tqdm import tqdm

from data.subject import LEFT_OUT, Subject, dataset_split, own_films, split_to_test
from model.predictor import Predictor
from model.under_test.comparison import Model, check_comparable, compare_models
from model.under_test.label_sheet import label_sheet
from model.under_test.linear_probe import linear_probe
from model.under_test.measurements import (
    Truth,
    calibrated_sets,
    cheats,
    chosen_thresholds,
    groups_in,
    measured_sets,
    probes,
    shortcuts,
    truth_of,
    youngest_first,
)  # fmt: skip
from model.under_test.model import ModelUnderTest
from model.under_test.network import network
from model.under_test.predictions_file import predictions_file
from util.device import torch_errors_explained
from util.files import atomic_path, check_folder, make_folder, write_json
from util.metrics.calibration import calibration
from util.metrics.operating_points import measure
from util.metrics.prediction_sets import falls_short
from util.metrics.prevalence import at_prevalence
from util.metrics.probabilities import mover, shares_of
from util.metrics.scores import evaluate_predictions
from util.metrics.selective import risk_coverage
from util.metrics.subgroups import subgroups
from util.metrics.within_source import within_source
from util.plots.evaluation import draw_all
from util.plots.gallery import gallery
from util.report.label_sheet import SUSPECTS
from util.report.model_card import model_card
from util.report.terminal import comparison_summary, sample_size, summary
from util.report.write import write_report
from util.versions import commit, machine, versions


@torch_errors_explained()
def main(args: argparse.Namespace) -> None:
    if args.suspects:
        find_suspects(args)
        return
    model = open_model(args)
    its_own = model.checkpoint["config"].get("dataset")
    own = ("folder", args.folder) if args.folder else ("table", args.table)
    place = Path(own[1] or args.dataset or its_own or config.dataset)
    split = None if own[1] else args.split or split_to_test(place, model.checkpoint)
    find = partial(open_subject, place=place, split=split, source=own[0])
    subject = find(model)
    if args.other:
        other = open_network(args.other, args)
        models = (model, subject), (other, find(other))
        check_comparable(*models)
        out = Path(args.out or other.home / f"comparison-{subject.title}")
        check_folder(out)
        show_comparison(compare_models(models, args.seed), models, out)
        return
    out = Path(args.out or model.home / f"evaluation-{subject.title}")
    check_folder(out)
    truth = truth_of(model, subject, args.seed)
    if args.prevalence:  # fails before the long work, if it does
        move = mover(args.prevalence, model.classes, model.checkpoint["prior"], model.path)
    sets = None if args.coverage is None else calibrated_sets(model, subject, args.coverage)
    outputs = model.outputs(subject)
    probabilities = outputs.probabilities

    # The order is that of metrics.json
    groups = groups_in(subject.images.table)
    sources = subject.images.table["source"]
    metrics = {"within_source": within_source(probabilities, sources, *truth)}
    metrics |= evaluate_predictions(probabilities, *truth)
    metrics["warnings"] = [*subject.warnings, *metrics["warnings"]]
    metrics |= cheats(model, subject, probabilities, truth)
    metrics["probes"] = probes(model, subject, truth)
    metrics["calibration"] = {
        "temperature": model.checkpoint["temperature"],
        **calibration(probabilities, truth.targets, truth.patients, truth.seed),
    }
    rate = "specificity" if args.specificity else "sensitivity"
    thresholds = chosen_thresholds(model, subject, getattr(args, rate) or SENSITIVITY, rate)
    metrics["operating_points"] = (
        measure(probabilities, *truth[:3], thresholds) if thresholds else {}
    )
    metrics["prediction_sets"] = None
    if sets:
        metrics["prediction_sets"] = measured = measured_sets(sets, probabilities, groups, truth)
        metrics["warnings"] += falls_short(measured)
    metrics["risk_coverage"] = risk_coverage(probabilities, *truth)
    metrics["subgroups"] = youngest_first(subgroups(probabilities, groups, *truth))
    metrics["prevalence"] = there = None
    if args.prevalence:
        there = move(probabilities)
        shares = shares_of(args.prevalence, truth.classes)
        rates = at_prevalence(there, *truth[:3], shares)
        doubt = risk_coverage(there, *truth, prevalence=shares)
        metrics["prevalence"] = {"stated": args.prevalence, **rates, "risk_coverage": doubt}
    metrics |= shortcuts(metrics, outputs, sources, truth)
    table = predictions(subject.images.table, truth, probabilities, there)
    if sets:
        inside = sets.of(probabilities)
        table["set"] = ["|".join(compress(model.classes, row)) for row in inside]

    make_folder(out)
    with atomic_path(out / "predictions.csv") as temporary:
        table.to_csv(temporary, index=False)

    def gray(row: int) -> np.ndarray:
        """An image, (H, W) uint8, for the eye."""
        return subject.images[row][0].float().mean(0).round().byte().numpy()

    metrics["record"] = record(model, subject, args.seed)
    report = write_report(
        out,
        metrics,
        metrics["record"],
        draw_all(metrics, probabilities, truth.targets, out),
        gallery(table, gray, probabilities, outputs.heat),
        model_card(model.card, model.checkpoint, subject.about, metrics, subject.split),
    )
    write_json(out / "metrics.json", metrics)  # last: where it is, the evaluation is whole
    print(summary(metrics))
    print(f"\nReport: {report}\n{NOTICE}")


def open_model(args: argparse.Namespace) -> ModelUnderTest:
    """The network of a checkpoint, or what is known of one that is elsewhere."""
    place = Path(args.dataset or config.dataset)
    if args.predictions:
        return predictions_file(Path(args.predictions), place, args.split or "test", args.mapping)
    if args.embeddings:
        return linear_probe(Path(args.embeddings), place, args.mapping or config.mapping)
    return open_network(args.checkpoint, args)


def open_network(path: str, args: argparse.Namespace) -> ModelUnderTest:
    return network(Predictor.load(path, args.device), args.batch_size, args.n_threads)


def open_subject(model: ModelUnderTest, place: Path, split: str | None, source: str) -> Subject:
    """A split of a dataset folder or, without one, the films of `folder` or `table`."""
    bar = partial(tqdm, leave=False, disable=None, unit="img")
    if split is None:
        return own_films(source, place, model.checkpoint, model.form, bar)
    subject = dataset_split(place, split, model.checkpoint, model.form, bar)
    if not subject.own:
        text = "%s: trained on another or an unknown dataset; its patients may be in this split"
        log.warning(text, model.path)
    return subject


# ---- What is written beside it ----


def predictions(
    images: pd.DataFrame, truth: Truth, probabilities: np.ndarray, there: np.ndarray | None
) -> pd.DataFrame:
    """The metadata of each image, its class, and what the model says: here, and where classes are
    as common as stated.
    """
    table = images.assign(
        truth=[truth.classes[k] for k in truth.targets],
        predicted=[truth.classes[k] for k in probabilities.argmax(1)],
    )
    for values, where in ((probabilities, ""), (there, " there")):
        if values is not None:
            table[[f"p({name}){where}" for name in truth.classes]] = values
    return table


def record(model: ModelUnderTest, subject: Subject, seed: int) -> dict[str, str]:
    """What it takes to do it again."""
    split = subject.title if subject.split == LEFT_OUT else subject.split  # with the sources
    return {
        **model.record,
        "Images": f"{subject.folder}" + (f", split {split}" if split else ""),
        "Trained on": f"dataset {model.checkpoint['fingerprint'] or 'unknown'}",
        "Program": f"commit {commit() or 'unknown'}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Machine": machine(model.device),
        "Seed of the draws": str(seed),
        "Command": shlex.join(["python3", Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


# ---- Other ends than a report ----


def show_comparison(comparison: dict, models: Sequence[Model], out: Path) -> None:
    """Prints whether the second, B, is better than A, and writes comparison.json."""
    table = models[0][1].images.table
    write_json(make_folder(out) / "comparison.json", comparison)
    print(sample_size(len(table), table["patient_id"].nunique()))
    print(comparison_summary(comparison))
    for warning in {text for _, subject in models for text in subject.warnings}:
        print(warning)
    print(f"\n{out / 'comparison.json'}\n{NOTICE}")


def find_suspects(args: argparse.Namespace) -> None:
    """Prints the most doubted labels of a run with folds, beside a sheet of them."""
    folder = Path(args.checkpoint)
    out = Path(args.out or folder / "suspects")
    check_folder(out)
    where = out, args.dataset, args.device, args.batch_size
    films, report = label_sheet(folder, args.suspects, *where)
    shown = films[["patient_id", "label", "predicted", "probability", "doubt"]].head(10)
    print("The folds doubt no label." if shown.empty else shown.to_string(index=False))
    print(f"\nLabel sheet: {report}\nYour decisions: {out / SUSPECTS}\n{NOTICE}")


if __name__ == "__main__":
    run(lambda: main(args), "evaluate.py")

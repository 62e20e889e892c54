"""Measures a model: is it right, does it know how sure it is, and what does it look at?

python3 evaluate.py experiments/NAME/best.pth                      on the test split
python3 evaluate.py pretrained                                     the network in pretrained/
python3 evaluate.py A.pth B.pth                                    is B better than A?
python3 evaluate.py best.pth --folder DIR                          on your own class folders
python3 evaluate.py best.pth --table FILE.csv                      on the films of your own table
python3 evaluate.py best.pth --coverage 0.9                        do prediction sets hold true?
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
from util.script import NOTICE, draw_without_display, quit_on_ctrl_c, run

config = load_config("evaluate.py")
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
    add("--sensitivity", type=float, help="wanted at the operating points; without it 0.95")
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
    demand(parser, args, ("sensitivity",), 0.01, 1)
    demand(parser, args, ("coverage",), 0.01, 0.999)
    for flag in ("prevalence", "sensitivity", "coverage"):
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
    alien = (file, own, *(n for n in ("split", "prevalence", "sensitivity") if getattr(args, n)))
    if args.suspects and (args.other or any(alien)):
        found = next((f"--{name}" for name in alien if name), "two checkpoints")
        parser.error(f"--suspects: found {found}; expected the folder of a run with folds, only")
    if args.mapping and not file:
        parser.error("--mapping: found a checkpoint, which has its own; leave it out")
    args.sensitivity = args.sensitivity or 0.95
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    quit_on_ctrl_c("evaluate.py")
    draw_without_display()

from collections.abc import Sequence
from functools import partial
from itertools import compress
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from data.audit.cheats import chances_of_cheats, explain, source_in_pictures
from data.audit.counts import age_band
from data.dataset_folder import add_pictures, read_split
from data.left_out import of_sources
from data.sources.tables import read_rows
from data.subject import LEFT_OUT, Subject, dataset_split, left_out, own_films, split_to_test
from model.predictor import Predictor
from model.under_test.linear_probe import linear_probe
from model.under_test.model import ModelUnderTest, Outputs
from model.under_test.network import network
from model.under_test.predictions_file import predictions_file
from model.under_test.suspects import films_and_maps
from util.device import torch_errors_explained
from util.files import atomic_path, check_folder, make_folder, write_json
from util.metrics.calibration import calibration
from util.metrics.comparison import METRICS, compare, within_source_difference
from util.metrics.conformal import PredictionSets, known_patients
from util.metrics.label_doubt import by_patient, suspects
from util.metrics.operating_points import Thresholds, choose, measure
from util.metrics.prediction_sets import coverage_by_group, falls_short, measure_sets
from util.metrics.prevalence import at_prevalence
from util.metrics.probabilities import mover, shares_of
from util.metrics.scores import evaluate_predictions
from util.metrics.selective import risk_coverage
from util.metrics.subgroups import subgroups
from util.metrics.within_source import within_source
from util.plots.evaluation import draw_all
from util.plots.gallery import film_picture, gallery
from util.report.label_sheet import SUSPECTS, write_label_sheet
from util.report.model_card import model_card
from util.report.terminal import comparison_summary, sample_size, summary
from util.report.write import write_report
from util.shortcuts.linear_probe import source_in_features
from util.shortcuts.probes import PROBES, outside_box
from util.shortcuts.verdicts import called_out, headline, heat_outside_lungs, judge
from util.training.folds import OUT_OF_FOLD, trained_on
from util.training.out_of_fold import classes_of, read_out_of_fold
from util.versions import commit, machine, versions


class Truth(NamedTuple):
    """What is true of the N images, in the order in which util.metrics takes it."""

    targets: np.ndarray  # (N,) class indices
    patients: np.ndarray  # (N,) names
    classes: list[str]
    seed: int  # of the bootstrap samples of patients


@torch_errors_explained()
def main(args: argparse.Namespace) -> None:
    if args.suspects:
        run_folder = Path(args.checkpoint)
        out = Path(args.out or run_folder / "suspects")
        label_sheet(run_folder, args.suspects, out, args.dataset, args.device, args.batch_size)
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
        compare_models(models, args.seed, out)
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
    thresholds = chosen_thresholds(model, subject, args.sensitivity)
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
        metrics["prevalence"] = {"stated": args.prevalence, **rates}
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


def truth_of(model: ModelUnderTest, subject: Subject, seed: int) -> Truth:
    patients = subject.images.table["patient_id"].to_numpy()
    return Truth(np.array(subject.images.targets), patients, model.classes, seed)


# ---- What metrics.json holds beside the scores ----


def overall(probabilities: np.ndarray, truth: Truth) -> dict:
    scores = evaluate_predictions(probabilities, *truth)
    return {name: scores[name] for name in METRICS}


def cheats(
    model: ModelUnderTest, subject: Subject, probabilities: np.ndarray, truth: Truth
) -> dict[str, dict | None]:
    """What cheats score, and by how much the model is ahead; what pictures show of the source."""
    if subject.split is None:  # one source, and a file seldom says its view
        return {"cheats": {}, "source_in_pictures": None}
    mapping, classes = model.checkpoint["mapping"], model.classes
    train = read_split(subject.folder, "train")
    train = train[train["label"].isin(mapping) & ~of_sources(train, left_out(model.checkpoint))]
    if train.empty:
        return {"cheats": {}, "source_in_pictures": None}
    train = train.replace({"label": {label: classes[k] for label, k in mapping.items()}})
    train, images = (add_pictures(subject.folder, t) for t in (train, subject.images.table))
    chances = chances_of_cheats(train, images, classes)
    if subject.split == LEFT_OUT:
        del chances["source"]  # of which training has no image
    scored = {
        f"the {cheat} alone": {
            **overall(guesses, truth),
            "lead": compare(guesses, probabilities, *truth)["difference"],
            "how": explain(cheat),
        }
        for cheat, guesses in chances.items()
    }
    return {"cheats": scored, "source_in_pictures": source_in_pictures(train, images)}


def probes(model: ModelUnderTest, subject: Subject, truth: Truth) -> dict[str, dict]:
    """What the model scores on the images with a part of each taken away."""
    return {
        name: {**overall(probabilities, truth), "how": PROBES[name].how}
        for name, probabilities in model.probed(subject).items()
    }


def chosen_thresholds(
    model: ModelUnderTest, subject: Subject, sensitivity: float
) -> Thresholds | None:
    """Of the model's own validation images; None without them, or where the subject is these."""
    if model.validation is None:
        log.warning("%s: no validation images in it; no operating points", model.path)
        return None
    if chosen_on(model, subject):
        return None
    return choose(model.validation.probabilities, model.validation.targets, sensitivity)


def calibrated_sets(model: ModelUnderTest, subject: Subject, coverage: float) -> PredictionSets:
    """ValueError without validation films to calibrate on, and where the subject is these."""
    films = known_patients(model.validation, model.path)
    if chosen_on(model, subject):
        raise ValueError(
            f"--coverage: found {subject.title} of {subject.folder}, on which the sets are"
            " calibrated; expected other films, such as --split test"
        )
    return PredictionSets.calibrate(films, coverage)


def chosen_on(model: ModelUnderTest, subject: Subject) -> bool:
    """Whether the subject are the films on which the model's thresholds are chosen: of the folds of
    a run those of their training, as each is predicted by a network that did not see it."""
    config = model.checkpoint["config"]
    return subject.own and subject.split in (trained_on(config) if config.get("folds") else ["val"])


def measured_sets(
    sets: PredictionSets, probabilities: np.ndarray, groups: dict[str, np.ndarray], truth: Truth
) -> dict:
    by_group = coverage_by_group(sets, probabilities, groups, *truth[:2])
    return measure_sets(sets, probabilities, *truth[:3]) | {"subgroups": youngest_first(by_group)}


def groups_in(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """By source, hospital, country, view and sex, as far as they are known, and by age."""
    names = ("source", "hospital", "country", "view", "sex")
    columns = {name: table[name].to_numpy() for name in names if name in table}
    return columns | {"age": table["age"].map(age_band).to_numpy()}


def youngest_first(groups: dict[str, dict]) -> dict[str, dict]:
    """Of the other columns the largest group comes first."""
    return groups | {"age": dict(sorted(groups["age"].items()))}


def shortcuts(metrics: dict, outputs: Outputs, sources: pd.Series, truth: Truth) -> dict:
    """Where the heat lies, what the features know, and what it all says of the model."""
    heat, known = None, {}
    if outputs.heat is not None:
        outside, grid = outside_box(outputs.heat), outputs.heat.shape[1:]
        heat = heat_outside_lungs(outside, grid, truth.patients, truth.seed)
    if outputs.features is not None:
        known = source_in_features(outputs.features, sources, *truth)
    found = {"probes": metrics["probes"], "heat maps": heat, "features": known}
    verdicts = judge(metrics, metrics["cheats"], metrics["probes"], heat, known)
    return {
        "heat_outside_lungs": heat,
        "source_in_features": known,
        "headline": headline(metrics, verdicts, [name for name in found if not found[name]]),
        "verdicts": [verdict.sentence for verdict in verdicts],
        "called_out": called_out(verdicts),
    }


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
    return {
        **model.record,
        "Images": f"{subject.folder}" + (f", split {subject.split}" if subject.split else ""),
        "Trained on": f"dataset {model.checkpoint['fingerprint'] or 'unknown'}",
        "Program": f"commit {commit() or 'unknown'}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Machine": machine(model.device),
        "Seed of the draws": str(seed),
        "Command": shlex.join(["python3", *sys.argv]),
    }


# ---- Two checkpoints ----


Model = tuple[ModelUnderTest, Subject]  # each network has its own input size, so its own images


def check_comparable(first: Model, second: Model) -> None:
    """ValueError unless both tell the same classes apart, on the same images."""
    (a, of_a), (b, of_b) = first, second
    if a.classes != b.classes:
        raise ValueError(
            f"{b.path}: found classes {', '.join(b.classes)}; expected those of"
            f" {a.path}, {', '.join(a.classes)}"
        )
    files, same = (list(subject.images.table["filename"]) for subject in (of_a, of_b))
    if files != same or of_a.images.targets != of_b.images.targets:
        raise ValueError(
            f"{b.path}: its mapping, or what its training left out, gives other images of"
            f" {of_a.folder} than those of {a.path}; expected the same. See --split"
        )


def compare_models(models: Sequence[Model], seed: int, out: Path) -> None:
    """Prints whether the second, B, is better than A, and writes comparison.json."""
    truth, sources = truth_of(*models[0], seed), models[0][1].images.table["source"]
    comparison, probabilities = {}, []
    for letter, (model, subject) in zip("AB", models, strict=True):
        probabilities.append(model.outputs(subject).probabilities)
        within = within_source(probabilities[-1], sources, *truth)["macro_auroc"]
        scores = {"within_source_auroc": within, **overall(probabilities[-1], truth)}
        comparison[letter] = {"checkpoint": model.path, **scores}
    within = within_source_difference(*probabilities, sources, *truth[:2], seed)
    comparison |= compare(*probabilities, *truth)
    comparison["difference"] = {"within_source_auroc": within, **comparison["difference"]}
    write_json(make_folder(out) / "comparison.json", comparison)
    print(sample_size(len(truth.targets), len(set(truth.patients))))
    print(comparison_summary(comparison))
    for warning in {text for _, subject in models for text in subject.warnings}:
        print(warning)
    print(f"\n{out / 'comparison.json'}\n{NOTICE}")


# ---- Labels that the folds of a run doubt ----


def label_sheet(
    folder: Path, most: int, out: Path, dataset: str | None, device: str, batch_size: int
) -> None:
    """Writes the `most` doubted films of the run in `folder` to `out`; dataset: None: its own."""
    check_folder(out)
    if not (folder / OUT_OF_FOLD).is_file():
        text = f"{folder}: no {OUT_OF_FOLD}; expected the folder of a run whose folds have ended"
        raise FileNotFoundError(f"{text}. See train.py --folds")
    sheet = out / SUSPECTS
    if sheet.is_file() and any(row["decision"] for row in read_rows(sheet, ["decision"])):
        text = f"{sheet}: found decisions in it, which would be lost; expected none"
        raise FileExistsError(f"{text}. Move it, or give --out")
    table = read_out_of_fold(folder / OUT_OF_FOLD)
    classes = classes_of(table)
    doubted = suspects(table, classes)
    films = by_patient(doubted[:most])
    seen = films_and_maps(folder, films, dataset, device, batch_size)
    pictures = [film_picture(*seen[name]) for name in films["filename"]]
    summary = {
        "classes": classes,
        "images": len(table),
        "patients": table["patient_id"].nunique(),
        "suspects": len(doubted),
    }
    report = write_label_sheet(make_folder(out), films, pictures, summary)
    print(films[["patient_id", "label", "predicted", "probability", "doubt"]].head(10).to_string())
    print(f"\nLabel sheet: {report}\nYour decisions: {sheet}\n{NOTICE}")


if __name__ == "__main__":
    run(lambda: main(args), "evaluate.py")

"""Measures a checkpoint: is it right, does it know how sure it is, and what does it look at?

python3 evaluate.py experiments/NAME/best.pth                      on the test split
python3 evaluate.py A.pth B.pth                                    is B better than A?
python3 evaluate.py best.pth --folder DIR                          on your own class folders

Writes report.html, report.md, metrics.json, predictions.csv and the plots to evaluation-SPLIT/
beside the checkpoint. The only reader of the test split: choose nothing by what it says about that.
"""

import argparse
import logging
import shlex
import sys
from pathlib import Path

import config
from util.flags import Parser, add_prevalence, demand
from util.script import NOTICE, quit_on_ctrl_c, run

log = logging.getLogger(__name__)
SENSITIVITY = 0.95  # wished for, unless another one is
# Why the numbers of a split are too good, where the model is of the same dataset.
SEEN = {
    "train": "The model was trained on these images: the numbers say nothing of new patients.",
    "val": "This split chose the epoch and the temperature: on new patients the model does worse.",
}


def arguments() -> argparse.Namespace:
    parser = Parser(prog="evaluate.py", description=__doc__)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="best.pth of a run, or the original's"
    )
    parser.add_argument(
        "other",
        metavar="CHECKPOINT",
        nargs="?",
        help="is it better than the first? Asked by patients",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--dataset", metavar="DIR", help="dataset folder; without it the checkpoint's own"
    )
    where.add_argument("--folder", metavar="DIR", help="class folders, as class/patient/image")
    parser.add_argument(
        "--split", choices=["train", "val", "test"], help="of the dataset; without it test"
    )
    parser.add_argument("--out", metavar="DIR", help="where to; without it beside the checkpoint")
    parser.add_argument(
        "--sensitivity", type=float, help="wished for at the operating points; without it 0.95"
    )
    add_prevalence(parser)
    parser.add_argument("--device", default=config.device, help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--n-threads", type=int, default=config.n_threads, help="reading processes")
    parser.add_argument("--batch-size", type=int, default=32, help="images a forward pass")
    parser.add_argument(
        "--seed", type=int, default=0, help="draws the bootstrap samples of patients"
    )
    args = parser.parse_args()
    demand(parser, args, ("batch_size",), 1)
    demand(parser, args, ("n_threads", "seed"), 0)
    demand(parser, args, ("sensitivity",), 0.01, 1)
    for flag in ("prevalence", "sensitivity"):
        if args.other and getattr(args, flag) is not None:
            parser.error(f"--{flag}: found two checkpoints, which are compared as they are")
    if args.folder and args.split:
        parser.error("--split: found --folder, which has none; leave it out")
    args.split = args.split or "test"
    args.sensitivity = args.sensitivity or SENSITIVITY
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    quit_on_ctrl_c("evaluate.py")

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from data.audit import age_band, chances_by
from data.class_folder_dataset import ClassFolders
from data.dataset import RadiographDataset, read_used
from data.dataset_folder import read_about
from data.loader import make_loader
from data.sampling import in_order
from data.transforms import InputFormat
from model.covidnext50 import COVIDNext50
from model.fuse_batchnorm import ready
from model.inference import Examined, examine
from model.weights import load_network
from util.checkpoint import load_checkpoint, short_hash
from util.device import pick_device, pick_precision
from util.files import atomic_path, make_folder, write_json
from util.mapping import class_names
from util.metrics.calibration import calibration
from util.metrics.comparison import compare
from util.metrics.operating_points import choose, measure
from util.metrics.prevalence import at_prevalence
from util.metrics.probabilities import scorer, shares_of
from util.metrics.scores import evaluate_predictions
from util.metrics.subgroups import subgroups
from util.plots.evaluation import draw_all
from util.plots.gallery import gallery
from util.report.model_card import model_card
from util.report.terminal import line, summary
from util.report.write import write_report
from util.shortcuts.linear_probe import source_in_features
from util.shortcuts.probes import LUNGS, PROBES, outside_box
from util.shortcuts.verdicts import called_out, headline, heat_outside_lungs, judge
from util.versions import commit, machine, versions

Images = RadiographDataset | ClassFolders
FEW = 8  # batches up to which starting processes costs more than they save


@dataclass(frozen=True)
class Model:
    """A checkpoint ready to be run."""

    path: str
    checkpoint: dict
    network: COVIDNext50
    form: InputFormat
    classes: list[str]
    device: torch.device

    def scorer(self, prevalence: dict[str, float] | None = None) -> Callable:
        """Logits (N, K) -> probabilities (N, K), see `util.metrics.probabilities`."""
        temperature, prior = self.checkpoint["temperature"], self.checkpoint["prior"]
        return scorer(self.path, temperature, prior, self.classes, prevalence)


def main(args: argparse.Namespace) -> None:
    model = load(args.checkpoint, args.device)
    if args.other:
        compare_with(model, load(args.other, args.device), args)
        return
    images = open_images(model, dataset_of(model, args), args)
    out = make_folder(
        args.out or Path(args.checkpoint).parent / f"evaluation-{name_of(model, args)}"
    )
    metrics, probabilities, seen = evaluate(model, images, args)

    table = images.table.assign(
        truth=[model.classes[k] for k in images.targets],
        predicted=[model.classes[k] for k in probabilities.argmax(1)],
    )
    write_json(out / "metrics.json", metrics)
    chances = {f"p({name})": probabilities[:, k] for k, name in enumerate(model.classes)}
    if args.prevalence:
        moved = model.scorer(args.prevalence)(seen.logits)
        chances |= {f"p({name}) there": moved[:, k] for k, name in enumerate(model.classes)}
    with atomic_path(out / "predictions.csv") as temporary:
        table.assign(**chances).to_csv(temporary, index=False)
    about = None if args.folder else read_about(dataset_of(model, args))
    report = write_report(
        out,
        metrics,
        facts(model, args),
        draw_all(metrics, probabilities, images.targets, out),
        gallery(table, lambda k: gray(images[k][0]), probabilities, seen.heat),
        model_card(model.checkpoint, about, metrics, None if args.folder else args.split),
    )
    print(summary(metrics))
    print(f"\nReport: {report}\n{NOTICE}")


def load(path: str, device: str) -> Model:
    target = pick_device(device)
    checkpoint = load_checkpoint(path)
    classes = class_names(checkpoint["mapping"])
    network = load_network(checkpoint["state_dict"], len(classes), path)
    network = ready(network, target, pick_precision("auto", target))
    return Model(path, checkpoint, network, InputFormat.of(checkpoint["input"]), classes, target)


def dataset_of(model: Model, args: argparse.Namespace) -> Path:
    return Path(args.dataset or model.checkpoint["config"].get("dataset") or config.dataset)


def is_own(model: Model, dataset: Path) -> bool:
    """Whether it is the dataset that the model was trained on."""
    return model.checkpoint["fingerprint"] == read_about(dataset)["fingerprint"]


def name_of(model: Model, args: argparse.Namespace) -> str:
    """Of the folder for the results: each set of images has its own."""
    if args.folder:
        return f"folder-{Path(args.folder).resolve().name}"
    dataset = dataset_of(model, args)
    return args.split if is_own(model, dataset) else f"{args.split}-of-{dataset.resolve().name}"


def open_images(model: Model, dataset: Path, args: argparse.Namespace) -> Images:
    """What --folder names, or the split of the dataset."""
    mapping, bar = model.checkpoint["mapping"], partial(tqdm, leave=False, disable=None, unit="img")
    if args.folder:
        images = ClassFolders(args.folder, mapping, model.form, bar)
        for item in images.dropped:
            log.warning("%s: left out: %s", item.original, item.reason)
    else:
        if not is_own(model, dataset):
            log.warning(
                "%s: trained on another dataset; its patients may be in this split", model.path
            )
        images = RadiographDataset(dataset, args.split, mapping, model.form, None, bar)
    for label, number in images.unused.items():
        log.info("%s: no class of the model, %d images", label, number)
    return images


def evaluate(
    model: Model, images: Images, args: argparse.Namespace
) -> tuple[dict, np.ndarray, Examined]:
    """All that metrics.json holds, the probabilities (N, K), and what the network saw."""
    known = {
        "targets": np.array(images.targets),
        "patients": images.table["patient_id"].to_numpy(),
        "classes": model.classes,
    }
    drawn = known | {"seed": args.seed}
    moved = model.scorer(args.prevalence)  # fails before the long work, if it does
    seen = look(model, images, args, "Images")
    probabilities = model.scorer()(seen.logits)
    metrics = evaluate_predictions(probabilities, **drawn)
    metrics["warnings"] = [*warnings(model, args), *metrics["warnings"]]
    metrics |= {
        "cheats": cheats(model, images, probabilities, drawn, args),
        "probes": probes(model, images, drawn, args),
        "calibration": {
            "temperature": model.checkpoint["temperature"],
            **calibration(probabilities, known["targets"], known["patients"], args.seed),
        },
        "operating_points": operating_points(model, probabilities, known, args),
        "subgroups": by_group(probabilities, images.table, drawn),
        "prevalence": None,
    }
    if args.prevalence:
        shares = shares_of(args.prevalence, model.classes)
        there = at_prevalence(moved(seen.logits), prevalence=shares, **known)
        metrics["prevalence"] = {"stated": args.prevalence, **there}
    return metrics | shortcuts(metrics, seen, images, drawn), probabilities, seen


def warnings(model: Model, args: argparse.Namespace) -> list[str]:
    """Why the numbers are too good, if they are."""
    if args.folder or args.split not in SEEN or not is_own(model, dataset_of(model, args)):
        return []
    return [SEEN[args.split]]


def by_group(probabilities: np.ndarray, table: pd.DataFrame, drawn: dict) -> dict[str, dict]:
    """By source, view and sex, the largest subgroup first, and by age, the youngest first."""
    columns = {name: table[name].to_numpy() for name in ("source", "view", "sex")}
    columns["age"] = table["age"].map(age_band).to_numpy()
    found = subgroups(probabilities, columns=columns, **drawn)
    return found | {"age": dict(sorted(found["age"].items()))}


def cheats(
    model: Model, images: Images, probabilities: np.ndarray, drawn: dict, args: argparse.Namespace
) -> dict[str, dict]:
    """What the source and the view alone would score, and by how much the model is ahead."""
    if args.folder:
        return {}  # one source, and views that the file seldom tells
    mapping, classes = model.checkpoint["mapping"], model.classes
    train, used = read_used(dataset_of(model, args), "train", mapping)
    train = train[used].replace({"label": {label: classes[k] for label, k in mapping.items()}})
    found = {}
    for column in ("source", "view"):
        chances = chances_by(column, train, images.table, classes)
        found[f"the {column} alone"] = {
            **heads(evaluate_predictions(chances, **drawn)),
            "lead": compare(chances, probabilities, **drawn)["difference"],
            "how": f"each image gets the shares of the classes that its {column} has in train",
        }
    return found


def probes(model: Model, images: Images, drawn: dict, args: argparse.Namespace) -> dict[str, dict]:
    """What the model scores on the images with a part of each taken away."""
    found = {}
    for name, probe in PROBES.items():
        logits = look(model, images, args, name, probe.change).logits
        scores = evaluate_predictions(model.scorer()(logits), **drawn)
        found[name] = {**heads(scores), "how": probe.how}
    return found


def shortcuts(metrics: dict, seen: Examined, images: Images, drawn: dict) -> dict:
    """Where the heat lies, what the features know, and what it all says of the model."""
    heat = heat_outside_lungs(
        outside_box(seen.heat),
        LUNGS.outside,
        seen.heat.shape[1:],
        drawn["patients"],
        drawn["seed"],
    )
    sources = source_in_features(seen.features, sources=images.table["source"], **drawn)
    found = judge(metrics, metrics["cheats"], metrics["probes"], heat, sources)
    return {
        "heat_outside_lungs": heat,
        "source_in_features": sources,
        "headline": headline(metrics, found),
        "verdicts": [verdict.sentence for verdict in found],
        "called_out": called_out(found),
    }


def operating_points(
    model: Model, probabilities: np.ndarray, known: dict, args: argparse.Namespace
) -> dict[str, dict]:
    """At the thresholds that the model's own validation images give; not measured on these."""
    validation = model.checkpoint["validation"]
    if validation is None:
        log.warning("%s: no validation images in it; no operating points", model.path)
        return {}
    if not args.folder and args.split == "val" and is_own(model, dataset_of(model, args)):
        return {}
    seen = model.scorer()(validation["logits"])
    thresholds = choose(seen, np.array(validation["targets"]), args.sensitivity)
    return measure(probabilities, thresholds=thresholds, **known)


def look(
    model: Model,
    images: Images,
    args: argparse.Namespace,
    title: str,
    change: Callable[[torch.Tensor], torch.Tensor] = lambda pixels: pixels,
) -> Examined:
    """One look at the images, each batch changed; arrays in the order of the table."""
    batches = in_order(len(images), args.batch_size)
    workers = args.n_threads if len(batches) > FEW else 0
    loader = make_loader(images, batches, workers, pin=model.device.type == "cuda")
    bar = tqdm(loader, title, unit="batch", leave=False, disable=None)
    changed = (change(pixels) for pixels, _ in bar)
    augmented = model.checkpoint["test_time_augmentation"]
    seen = examine(model.network, changed, model.device, model.form.normalise, augmented=augmented)
    return Examined(*(values.cpu().numpy() for values in seen))


def heads(scores: dict) -> dict:
    return {name: scores[name] for name in ("accuracy", "macro_f1", "macro_auroc")}


def gray(pixels: torch.Tensor) -> np.ndarray:
    """(C, H, W) uint8 -> (H, W) uint8, for the eye."""
    return pixels.float().mean(0).round().byte().numpy()


def facts(model: Model, args: argparse.Namespace) -> dict[str, str]:
    checkpoint, (height, width) = model.checkpoint, model.form.size
    where = args.folder or f"{dataset_of(model, args)}, split {args.split}"
    return {
        "Checkpoint": f"{model.path} ({short_hash(model.path)})",
        "Run": f"{checkpoint['config'].get('name')}"
        + (f", epoch {checkpoint['epoch']}" if checkpoint["epoch"] else ""),
        "Input": f"{width} x {height} pixels",
        "Images": str(where),
        "Trained on": f"dataset {checkpoint['fingerprint'] or 'unknown'}",
        "Program": f"commit {commit() or 'unknown'}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Machine": machine(model.device),
        "Seed of the draws": str(args.seed),
        "Command": shlex.join(["python3", *sys.argv]),
    }


def compare_with(one: Model, other: Model, args: argparse.Namespace) -> None:
    """Prints whether the other is better, and writes comparison.json beside it."""
    if one.classes != other.classes:
        raise ValueError(
            f"{other.path}: found classes {', '.join(other.classes)}; expected those of"
            f" {one.path}, {', '.join(one.classes)}"
        )
    dataset = dataset_of(one, args)
    shown = [open_images(model, dataset, args) for model in (one, other)]
    names = [list(images.table["filename"]) for images in shown]
    targets = shown[0].targets
    if names[0] != names[1] or targets != shown[1].targets:
        raise ValueError(
            f"{other.path}: its mapping uses other images of {args.folder or dataset} than that of"
            f" {one.path}; expected the same"
        )
    known = {
        "targets": np.array(targets),
        "patients": shown[0].table["patient_id"].to_numpy(),
        "classes": one.classes,
        "seed": args.seed,
    }
    found, scored = {}, []
    for letter, model, images in zip("AB", (one, other), shown, strict=True):
        logits = look(model, images, args, letter).logits
        scored.append(model.scorer()(logits))
        found[letter] = {"checkpoint": model.path}
        found[letter] |= heads(evaluate_predictions(scored[-1], **known))
    found |= compare(*scored, **known)
    out = make_folder(args.out or Path(other.path).parent / f"comparison-{name_of(one, args)}")
    write_json(out / "comparison.json", found)
    print(f"{len(targets)} images of {len(set(known['patients']))} patients, 95 % intervals")
    for name, difference in found["difference"].items():
        for letter in "AB":
            print(line(f"{letter}: {name}", found[letter][name]))
        print(line(f"{name}, B less A", difference))
    print(found["verdict"])
    for warning in {text for model in (one, other) for text in warnings(model, args)}:
        print(warning)
    print(f"\n{out / 'comparison.json'}\n{NOTICE}")


if __name__ == "__main__":
    run(lambda: main(args), "evaluate.py")

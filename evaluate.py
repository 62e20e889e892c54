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
from util.script import NOTICE, run

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="evaluate.py", description=__doc__)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="best.pth of a run, or the original's"
    )
    parser.add_argument(
        "other", metavar="CHECKPOINT", nargs="?", help="is this one better? Tested image by image"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--dataset", metavar="DIR", help="dataset folder; without it the checkpoint's own"
    )
    where.add_argument("--folder", metavar="DIR", help="class folders, as class/patient/image")
    parser.add_argument(
        "--split", choices=["train", "val", "test"], default="test", help="what to read"
    )
    parser.add_argument("--out", metavar="DIR", help="where to; without it beside the checkpoint")
    parser.add_argument(
        "--sensitivity", type=float, default=0.95, help="wished for at the operating points"
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
    if args.other and args.prevalence:
        parser.error("--prevalence: found two checkpoints, which are compared as they are")
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from data.audit import age_band, guess_by
from data.dataset import RadiographDataset, read_used
from data.folder import read_about
from data.loader import make_loader
from data.mapping import class_names
from data.probes import LUNGS, PROBES, outside_box
from data.sampling import in_order
from data.transforms import InputFormat
from data.unprepared import ClassFolders
from model.covidnext50 import COVIDNext50
from model.inference import Examined, examine
from model.ready import ready
from model.weights import load_network
from util.calibration import calibration
from util.checkpoint import load_checkpoint, short_hash
from util.comparison import compare
from util.curves import draw_all
from util.device import pick_device, pick_precision
from util.files import atomic_path, write_json
from util.heatmaps import overlay
from util.linear_probe import source_in_features
from util.metrics import evaluate_predictions
from util.model_card import model_card
from util.operating_points import choose, measure
from util.prevalence import at_prevalence
from util.probabilities import scorer, shares_of
from util.report import write_report
from util.shortcuts import called_out, heat_outside_lungs, judge
from util.subgroups import subgroups
from util.summary import line, summary
from util.versions import versions

Images = RadiographDataset | ClassFolders
WORST = 12  # mistakes in the report's gallery
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
        """Logits (N, K) -> probabilities (N, K), see `util.probabilities`."""
        temperature, prior = self.checkpoint["temperature"], self.checkpoint["prior"]
        return scorer(self.path, temperature, prior, self.classes, prevalence)


def main(args: argparse.Namespace) -> None:
    model = load(args.checkpoint, args.device)
    if args.other:
        compare_with(model, load(args.other, args.device), args)
        return
    images = open_images(model, args)
    metrics, probabilities, seen = evaluate(model, images, args)

    out = Path(args.out or Path(args.checkpoint).parent / f"evaluation-{name_of(args)}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "metrics.json", metrics)
    write_predictions(out / "predictions.csv", images, probabilities, model.classes)
    about, split = (
        (None, None) if args.folder else (read_about(dataset_of(model, args)), args.split)
    )
    report = write_report(
        out,
        metrics,
        facts(model, args),
        draw_all(metrics, probabilities, images.targets, out),
        gallery(images, probabilities, seen.heat, model.classes),
        model_card(model.checkpoint, about, metrics, split),
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


def open_images(model: Model, args: argparse.Namespace, split: str | None = None) -> Images:
    """What --folder, --dataset and --split name, or another split of the same dataset."""
    mapping = model.checkpoint["mapping"]
    bar = partial(tqdm, desc="Reading", unit=" images", leave=False, disable=None)
    if args.folder and not split:
        images = ClassFolders(args.folder, mapping, model.form, bar)
        for item in images.dropped:
            log.warning("%s: left out: %s", item.original, item.reason)
    else:
        dataset = dataset_of(model, args)
        if model.checkpoint["fingerprint"] != read_about(dataset)["fingerprint"]:
            log.warning(
                "%s: trained on another dataset; its patients may be in this split", model.path
            )
        images = RadiographDataset(dataset, split or args.split, mapping, model.form, None, bar)
    for label, number in images.unused.items():
        log.info("%s: no class of the model, %d images", label, number)
    return images


def dataset_of(model: Model, args: argparse.Namespace) -> Path:
    return Path(args.dataset or model.checkpoint["config"].get("dataset") or config.dataset)


def name_of(args: argparse.Namespace) -> str:
    return Path(args.folder).resolve().name if args.folder else args.split


def evaluate(
    model: Model, images: Images, args: argparse.Namespace
) -> tuple[dict, np.ndarray, Examined]:
    """All that metrics.json holds, the probabilities (N, K), and what the network saw."""
    checkpoint, classes, targets = model.checkpoint, model.classes, np.array(images.targets)
    patients = images.table["patient_id"].to_numpy()
    score = model.scorer(args.prevalence)
    judged = partial(
        evaluate_predictions, targets=targets, patients=patients, classes=classes, seed=args.seed
    )
    seen = look(model, images, args, "Images")
    probabilities = score(seen.logits)
    metrics = judged(probabilities)
    groups = {name: images.table[name].to_numpy() for name in ("source", "view", "sex")}
    groups["age"] = images.table["age"].map(age_band).to_numpy()
    probes = {}
    for name, probe in PROBES.items():
        shown = look(model, images, args, name, probe.change)
        probes[name] = headline(judged(score(shown.logits)), probe.how)
    cheats = {
        f"the {column} alone": headline(judged(one_hot), how)
        for column, (one_hot, how) in guesses(model, images, args).items()
    }
    heat = heat_outside_lungs(
        outside_box(seen.heat), LUNGS.outside, seen.heat.shape[1:], patients, args.seed
    )
    sources = source_in_features(
        seen.features, targets, images.table["source"], patients, classes, args.seed
    )
    found = judge(metrics, cheats, probes, heat, sources)
    metrics |= {
        "calibration": calibration(probabilities, targets, patients, args.seed)
        | {"temperature": checkpoint["temperature"]},
        "operating_points": {},
        "subgroups": subgroups(probabilities, targets, patients, classes, groups, args.seed),
        "cheats": cheats,
        "probes": probes,
        "heat_outside_lungs": heat,
        "source_in_features": sources,
        "verdicts": [verdict.sentence for verdict in found],
        "called_out": called_out(found),
        "prevalence": None,
    }
    if (chosen := validation(model, args)) is not None:
        thresholds = choose(
            score(look(model, chosen, args, "Validation").logits), chosen.targets, args.sensitivity
        )
        metrics["operating_points"] = measure(
            probabilities, targets, patients, classes, thresholds, args.sensitivity
        )
    if args.prevalence:
        stated = shares_of(args.prevalence, classes)
        metrics["prevalence"] = {"stated": args.prevalence}
        metrics["prevalence"] |= at_prevalence(probabilities, targets, patients, classes, stated)
    return metrics, probabilities, seen


def validation(model: Model, args: argparse.Namespace) -> Images | None:
    """The images that operating points are chosen on; None where they would be measured, too."""
    if not args.folder:
        return None if args.split == "val" else open_images(model, args, "val")
    if not dataset_of(model, args).exists():
        log.info("%s: not here; operating points are left out", dataset_of(model, args))
        return None
    return open_images(model, args, "val")


def look(
    model: Model,
    images: Images,
    args: argparse.Namespace,
    title: str,
    change: Callable[[torch.Tensor], torch.Tensor] = lambda pixels: pixels,
) -> Examined:
    """One forward pass over the images, each batch changed; arrays in the order of the table."""
    batches = in_order(len(images), args.batch_size)
    workers = args.n_threads if len(batches) > FEW else 0
    loader = make_loader(images, batches, workers, pin=model.device.type == "cuda")
    bar = tqdm(loader, title, unit="batch", leave=False, disable=None)
    changed = (change(pixels) for pixels, _ in bar)
    seen = examine(model.network, changed, model.device, model.form.normalise)
    return Examined(*(values.cpu().numpy() for values in seen))


def headline(scores: dict, how: str) -> dict:
    return {name: scores[name] for name in ("accuracy", "macro_f1", "macro_auroc")} | {"how": how}


def guesses(
    model: Model, images: Images, args: argparse.Namespace
) -> dict[str, tuple[np.ndarray, str]]:
    """column -> what naming by it alone gives, (N, K) of zeros and ones, and how it was done."""
    if args.folder:
        return {}  # one source, and views that the file seldom tells
    mapping, classes = model.checkpoint["mapping"], model.classes
    train, used = read_used(dataset_of(model, args), "train", mapping)
    train = train[used].replace({"label": {label: classes[k] for label, k in mapping.items()}})
    found = {}
    for column in ("source", "view"):
        named = guess_by(column, train, images.table)
        how = f"each image is named after the commonest class of its {column} in train"
        found[column] = np.eye(len(classes))[[classes.index(name) for name in named]], how
    return found


def gray(pixels: torch.Tensor) -> np.ndarray:
    """(C, H, W) uint8 -> (H, W) uint8, for the eye."""
    return pixels.float().mean(0).round().byte().numpy()


def png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_predictions(
    path: Path, images: Images, probabilities: np.ndarray, classes: list[str]
) -> None:
    """The split's metadata with the true class, the predicted one, and the chance of each."""
    table = images.table.assign(
        truth=[classes[k] for k in images.targets],
        predicted=[classes[k] for k in probabilities.argmax(1)],
    )
    chances = pd.DataFrame(probabilities, columns=[f"p({name})" for name in classes])
    with atomic_path(path) as temporary:
        pd.concat([table, chances], axis=1).to_csv(temporary, index=False)


def gallery(
    images: Images, probabilities: np.ndarray, heat: np.ndarray, classes: list[str]
) -> list[dict]:
    """The mistakes that the model was surest of, each with its heat map beside it."""
    named = probabilities.argmax(1)
    wrong = np.flatnonzero(named != images.targets)
    worst = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:WORST]
    rows = images.table.iloc[worst].to_dict("records")
    return [
        {
            "image": png(overlay(gray(images[k][0]), heat[k])),
            "file": row["filename"],
            "truth": classes[images.targets[k]],
            "predicted": classes[named[k]],
            "probability": float(probabilities[k].max()),
            "source": row["source"],
            "view": row["view"],
        }
        for k, row in zip(worst, rows, strict=True)
    ]


def facts(model: Model, args: argparse.Namespace) -> dict[str, str]:
    checkpoint, (height, width) = model.checkpoint, model.form.size
    where = args.folder or f"{dataset_of(model, args)}, split {args.split}"
    return {
        "Checkpoint": f"{model.path} ({short_hash(model.path)})",
        "Run": f"{checkpoint['config'].get('name')}, epoch {checkpoint['epoch']}",
        "Input": f"{width} x {height} pixels",
        "Images": str(where),
        "Trained on": f"dataset {checkpoint['fingerprint'] or 'unknown'}",
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Command": shlex.join(["python3", *sys.argv]),
    }


def compare_with(one: Model, other: Model, args: argparse.Namespace) -> None:
    """Prints whether the other is better, and writes comparison.json beside it."""
    if one.classes != other.classes:
        raise ValueError(
            f"{other.path}: found classes {', '.join(other.classes)}; expected those of"
            f" {one.path}, {', '.join(one.classes)}"
        )
    scored = []
    for model in (one, other):
        images = open_images(model, args)
        seen = look(model, images, args, Path(model.path).parent.name)
        scored.append(model.scorer()(seen.logits))
    patients = images.table["patient_id"].to_numpy()
    found = compare(*scored, np.array(images.targets), patients, one.classes, args.seed)
    out = Path(args.out or Path(other.path).parent / f"comparison-{name_of(args)}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "comparison.json", {"first": one.path, "second": other.path, **found})
    print(f"{len(images)} images of {len(set(patients))} patients, 95 % intervals")
    for name in ("accuracy", "macro_f1", "macro_auroc"):
        print(line(f"{name}, second less first", found["difference"][name]))
    print(found["verdict"])
    print(f"\n{out / 'comparison.json'}\n{NOTICE}")


if __name__ == "__main__":
    run(lambda: main(args), "evaluate.py")

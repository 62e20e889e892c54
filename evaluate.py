"""Measures a checkpoint on a split: metrics with 95 % intervals, plots, a report, a row per image.

python3 evaluate.py experiments/NAME/best.pth

Writes report.html, metrics.json, predictions.csv and the plots to evaluation-SPLIT/ beside the
checkpoint. The only reader of the test split: choose nothing by what it says about that.
"""

import argparse
import logging
import shlex
import sys
from pathlib import Path

import config
from util.flags import Parser, demand
from util.script import NOTICE, run

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="evaluate.py", description=__doc__)
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="best.pth of a run, or the original's"
    )
    parser.add_argument(
        "--dataset", metavar="DIR", help="dataset folder; without it the checkpoint's own"
    )
    parser.add_argument(
        "--split", choices=["train", "val", "test"], default="test", help="what to read"
    )
    parser.add_argument("--out", metavar="DIR", help="where to; without it beside the checkpoint")
    parser.add_argument("--device", default=config.device, help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--n-threads", type=int, default=config.n_threads, help="reading processes")
    parser.add_argument("--batch-size", type=int, default=32, help="images a forward pass")
    parser.add_argument(
        "--seed", type=int, default=0, help="draws the bootstrap samples of patients"
    )
    args = parser.parse_args()
    demand(parser, args, ("batch_size",), 1)
    demand(parser, args, ("n_threads", "seed"), 0)
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from data.audit import guess_by
from data.dataset import RadiographDataset, read_used
from data.folder import read_about
from data.loader import make_loader
from data.mapping import class_names
from data.sampling import in_order
from data.transforms import InputFormat
from model.inference import predict_logits
from model.weights import load_network
from util.checkpoint import load_checkpoint
from util.device import pick_device
from util.files import atomic_path, write_json
from util.metrics import evaluate_predictions
from util.plots import plot_confusion_matrix, plot_roc
from util.report import write_report
from util.versions import versions


def main(args: argparse.Namespace) -> None:
    pick_device(args.device)  # a wrong one fails before the long work
    checkpoint = load_checkpoint(args.checkpoint)
    mapping, classes = checkpoint["mapping"], class_names(checkpoint["mapping"])
    network = load_network(checkpoint["state_dict"], len(classes), args.checkpoint)
    dataset = Path(args.dataset or checkpoint["config"].get("dataset") or config.dataset)
    about = read_about(dataset)
    if checkpoint["fingerprint"] != about["fingerprint"]:
        log.warning(
            "%s: trained on another dataset; its patients may be in this split", args.checkpoint
        )
    form = InputFormat.of(checkpoint["input"])
    images = RadiographDataset(dataset, args.split, mapping, form)
    for label, number in images.unused.items():
        log.info("%s: mapping leaves out %s, %d images", args.split, label, number)
    probabilities = forward(network, images, form, checkpoint["temperature"], args)

    patients = images.table["patient_id"].to_numpy()
    metrics = evaluate_predictions(probabilities, images.targets, patients, classes, args.seed)
    train, used = read_used(dataset, "train", mapping)
    cheats = {"the source alone": source_alone(train[used], images, mapping)}

    out = Path(args.out or Path(args.checkpoint).parent / f"evaluation-{args.split}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "metrics.json", {**metrics, "source_alone": cheats["the source alone"]})
    write_predictions(out / "predictions.csv", images, probabilities, classes)
    plots = [
        (
            "Confusion matrix",
            plot_confusion_matrix(
                metrics["confusion_matrix"], classes, out / "confusion_matrix.png"
            ),
        ),
        ("ROC curves", plot_roc(probabilities, images.targets, classes, out / "roc.png")),
    ]
    facts = {
        "Checkpoint": args.checkpoint,
        "Run": f"{checkpoint['config'].get('name')}, epoch {checkpoint['epoch']}",
        "Input": f"{checkpoint['input']['size'][1]} x {checkpoint['input']['size'][0]} pixels",
        "Dataset": f"{dataset}, split {args.split}",
        "Fingerprint": about["fingerprint"],
        "Versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "Command": shlex.join(["python3", *sys.argv]),
    }
    report = write_report(out, metrics, facts, cheats, plots)
    print(summary(metrics, cheats))
    print(f"\nReport: {report}\n{NOTICE}")


def forward(
    network: torch.nn.Module,
    images: RadiographDataset,
    form: InputFormat,
    temperature: float,
    args: argparse.Namespace,
) -> np.ndarray:
    """Probabilities (N, K) of all images, in order."""
    device = pick_device(args.device)
    network = network.to(device, memory_format=torch.channels_last)
    batches = in_order(len(images), args.batch_size)
    loader = make_loader(images, batches, args.n_threads, pin=device.type == "cuda")
    bar = (pixels for pixels, _ in tqdm(loader, "Images", unit="batch", disable=None))
    logits = predict_logits(network, bar, device, form.normalise)
    return (logits / temperature).softmax(1).cpu().numpy()


def source_alone(train: pd.DataFrame, images: RadiographDataset, mapping: dict[str, int]) -> dict:
    """What is scored by naming each image after the commonest class of its source in train."""
    classes = class_names(mapping)
    of = {label: classes[k] for label, k in mapping.items()}
    guesses = guess_by("source", train.replace({"label": of}), images.table)
    one_hot = np.eye(len(classes))[[classes.index(name) for name in guesses]]
    scores = evaluate_predictions(one_hot, images.targets, images.table["patient_id"], classes)
    return {
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "how": "each image is named after the commonest class of its source in train",
    }


def write_predictions(
    path: Path, images: RadiographDataset, probabilities: np.ndarray, classes: list[str]
) -> None:
    """The split's metadata with the true class, the predicted one, and the chance of each."""
    table = images.table.assign(
        truth=[classes[k] for k in images.targets],
        predicted=[classes[k] for k in probabilities.argmax(1)],
    )
    chances = pd.DataFrame(probabilities, columns=[f"p({name})" for name in classes])
    with atomic_path(path) as temporary:
        pd.concat([table, chances], axis=1).to_csv(temporary, index=False)


def summary(metrics: dict, cheats: dict) -> str:
    def line(name: str, metric: dict) -> str:
        if metric["value"] is None:
            return f"{name:<34} undefined"
        return f"{name:<34} {metric['value']:.3f}  ({metric['low']:.3f} - {metric['high']:.3f})"

    names = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "macro_auroc")
    lines = [f"{metrics['images']} images of {metrics['patients']} patients, 95 % intervals"]
    lines += [line(name.replace("_", " "), metrics[name]) for name in names]
    for label, scores in metrics["per_class"].items():
        lines += [
            line(f"{label}: {name}", scores[name])
            for name in ("recall", "specificity", "precision")
        ]
    for name, cheat in cheats.items():
        lines += [
            line(f"{name}: {key.replace('_', ' ')}", cheat[key]) for key in ("accuracy", "macro_f1")
        ]
    return "\n".join(lines + metrics["warnings"])


if __name__ == "__main__":
    run(lambda: main(args), "evaluate.py")

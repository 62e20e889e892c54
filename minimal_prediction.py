"""Names the class of chest radiographs: PNG, JPEG, DICOM ... files, or folders of them.

python3 minimal_prediction.py image.png scan.dcm folder/ --checkpoint experiments/NAME/best.pth

In Python:
    from minimal_prediction import load, predict
    rows = list(predict(load("best.pth"), ["image.png"]))

A research tool, not a medical device: not for diagnosis.
"""

import argparse
import csv
import json
import logging
import sys
from pathlib import Path

import config
from util.flags import Parser, demand
from util.script import NOTICE, run

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="minimal_prediction.py", description=__doc__)
    parser.add_argument(
        "files", nargs="+", metavar="IMAGE|DICOM|DIR", help="what to look at, in order"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        default=str(Path(config.ckpts_dir, config.name, "best.pth")),
        help="of train.py, or the original's of 2020; classes and preprocessing come from it",
    )
    parser.add_argument(
        "--format", choices=["text", "csv", "json"], default="text", help="of the output"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument("--batch-size", type=int, default=16, help="images a forward pass")
    args = parser.parse_args()
    demand(parser, args, ("batch_size",), 1)
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from data.mapping import class_names
from data.pixels import UnreadableImageError
from data.radiograph import find_images
from data.transforms import InputFormat
from model.covidnext50 import COVIDNext50
from model.inference import predict_logits
from model.weights import load_network
from util.checkpoint import load_checkpoint
from util.device import pick_device


@dataclass(frozen=True)
class Predictor:
    """A network with what its checkpoint says of its input, its classes and its confidence."""

    network: COVIDNext50
    form: InputFormat
    classes: list[str]
    temperature: float
    device: torch.device


def load(checkpoint: str | Path, device: str = "auto") -> Predictor:
    """The predictor of a checkpoint. FileNotFoundError or ValueError, one line, if it is none."""
    target = pick_device(device)
    content = load_checkpoint(checkpoint)
    classes = class_names(content["mapping"])
    network = load_network(content["state_dict"], len(classes), str(checkpoint))
    network = network.to(target, memory_format=torch.channels_last)
    form = InputFormat.of(content["input"])
    return Predictor(network, form, classes, content["temperature"], target)


def predict(
    predictor: Predictor, files: Iterable[str | Path], batch_size: int = 16
) -> Iterator[dict]:
    """One dict per file, in order: file, label, probabilities {class: p}, error (None or why).

    A file that cannot be read has label None and no probabilities; the others are not affected.
    """
    files = [str(file) for file in files]

    def read(file: str) -> np.ndarray | str:
        try:
            return predictor.form.read(file)
        except UnreadableImageError as error:
            return str(error).removeprefix(f"{Path(file)}: ")

    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        results = [read(file) for file in batch]
        images = [result for result in results if not isinstance(result, str)]
        rows = iter(_probabilities(predictor, images))
        for file, result in zip(batch, results, strict=True):
            error = result if isinstance(result, str) else None
            chances = {} if error else dict(zip(predictor.classes, next(rows), strict=True))
            label = max(chances, key=chances.get) if chances else None
            yield {"file": file, "label": label, "probabilities": chances, "error": error}


def _probabilities(predictor: Predictor, images: list[np.ndarray]) -> list[list[float]]:
    if not images:
        return []
    batch = torch.from_numpy(np.stack(images))
    logits = predict_logits(predictor.network, [batch], predictor.device, predictor.form.normalise)
    return (logits / predictor.temperature).softmax(1).tolist()


def main(args: argparse.Namespace) -> None:
    predictor = load(args.checkpoint, args.device)
    files = [file for name in args.files for file in find_images(name)]
    rows = predict(predictor, files, args.batch_size)
    failed = False
    write = {"text": print_text, "csv": print_csv, "json": print_json}[args.format]
    for row in write(
        tqdm(rows, total=len(files), unit="img", leave=False, disable=None), predictor
    ):
        failed = failed or row["error"] is not None
    log.info(NOTICE)
    sys.exit(1 if failed else 0)


def print_text(rows: Iterable[dict], predictor: Predictor) -> Iterator[dict]:
    for row in rows:
        chances = ", ".join(f"{name} {chance:.3f}" for name, chance in row["probabilities"].items())
        result = f"error: {row['error']}" if row["error"] else f"{row['label']} ({chances})"
        tqdm.write(f"{row['file']}: {result}", sys.stdout)
        yield row


def print_csv(rows: Iterable[dict], predictor: Predictor) -> Iterator[dict]:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["file", "label", *predictor.classes, "error"])
    for row in rows:
        chances = [row["probabilities"].get(name, "") for name in predictor.classes]
        table.writerow([row["file"], row["label"], *chances, row["error"]])
        yield row


def print_json(rows: Iterable[dict], predictor: Predictor) -> Iterator[dict]:
    rows = list(rows)
    print(json.dumps(rows, indent=2, ensure_ascii=False))
    yield from rows


if __name__ == "__main__":
    run(lambda: main(args), "minimal_prediction.py")

"""Makes an ONNX file of a checkpoint, with which minimal_prediction.py needs no PyTorch.

python3 export.py experiments/NAME/best.pth                       as exact as the checkpoint
python3 export.py experiments/NAME/best.pth --precision int8      a quarter of the size, and faster
python3 export.py experiments/NAME/best.pth --precision int4      a seventh, nearly as fast as int8

The file has one input, prepared 8-bit pixels, and gives probabilities, logits, a heat map and what
the gate measures. It is left only if its probabilities are those of the checkpoint, or near them
for int8 and int4, on validation films. A research tool, not a medical device: not for diagnosis.
"""

import argparse
import logging
from pathlib import Path

from util.flags import Parser, load_config
from util.script import NOTICE, run, while_importing

load_config("export.py")  # says what is wrong in an edited config.py
log = logging.getLogger(__name__)
# Between a probability of the file and of the checkpoint.
LARGEST = {"float32": 1e-3, "int8": 0.03, "int4": 0.03}


def arguments() -> argparse.Namespace:
    parser = Parser(prog="export.py", description=__doc__)
    add = parser.add_argument
    which = "best.pth of a run, the folder of one with folds, or the original's"
    add("checkpoint", metavar="CHECKPOINT", help=which)
    beside = "without it best.onnx, best-int8.onnx or best-int4.onnx beside the checkpoint, by its"
    beside += " name, or folds.onnx and so on"
    add("--out", metavar="FILE.onnx", help=beside)
    add("--precision", choices=list(LARGEST), default="float32", help="of the convolutions")
    own = "dataset folder with the films of the training; without it the checkpoint's own, or drawn"
    add("--dataset", metavar="DIR", help=f"{own} radiographs where that is not there")
    terms = "of the file, in its metadata; without it the program's, MIT"
    add("--licence", metavar="TEXT", help=terms)
    args = parser.parse_args()
    if args.out and Path(args.out).suffix != ".onnx":
        parser.error(f"--out: found '{args.out}'; expected a name that ends in .onnx")
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing("export.py")

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image

from data.dataset import WHOLE, Part, read_some
from data.dataset_folder import read_about
from data.record import LABELS
from data.sample.phantom import draw_phantom
from data.split import SPLITS
from data.split.folds import parts_of_training
from data.transforms import InputFormat
from model.onnx import runtime as onnx_runtime
from model.onnx.graph import LICENCE, write_facts
from model.onnx.precision import graph_in
from model.onnx.weights import keep_for_training
from model.runtime import Runtime
from model.torch_runtime import load
from util.checkpoint import load_checkpoint
from util.files import atomic_path, check_folder
from util.metrics.probabilities import tempered
from util.training.folds import name_of, network_path
from util.versions import versions
from util.words import counted

FILMS = 200  # of validation, evenly through it, on which to compare
CALIBRATION = 96  # of training; more of them do not make 8 bits more exact
BATCH = 16  # films in the network at once
MOST_PARAMETERS = 2**31 // 4 - 10**7  # in float32, with room for the rest of the graph
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")


def main(args: argparse.Namespace) -> None:
    path = network_path(args.checkpoint)
    beside = path / "folds.pth" if path.is_dir() else path
    name = beside.stem + ("" if args.precision == "float32" else f"-{args.precision}")
    out = Path(args.out or beside.with_name(f"{name}.onnx"))
    check_folder(out.parent)
    checkpoint, runtime = load(path, "cpu", torch.float32)
    if not all(weight.isfinite().all() for weight in runtime.network.parameters()):
        raise ValueError(
            f"{path}: found weights that are not finite; expected numbers. Export another"
            " checkpoint"
        )
    if checkpoint["parameters"] > MOST_PARAMETERS:
        raise ValueError(
            f"{path}: found {checkpoint['parameters']:,} parameters; expected at most"
            f" {MOST_PARAMETERS:,}, as an ONNX file holds 2 GiB. Export one network, such as one"
            " that has learned from these folds: train.py --distil"
        )
    films = Films.of(checkpoint, runtime.form, args.dataset)
    how = {"checkpoint": name_of(path), "precision": args.precision}
    how |= {"versions": versions(PACKAGES), "compared_on": films.title}
    log.info("Exporting %s, which takes some minutes", path)
    with atomic_path(out) as temporary:
        calibration = [] if args.precision == "float32" else films.read("train", CALIBRATION)
        model = graph_in(args.precision, runtime, checkpoint["temperature"], calibration)
        if path.is_file():  # one network, not those of folds
            keep_for_training(model, load_checkpoint(path)["state_dict"])
        write_facts(model, checkpoint, runtime, how, args.licence or LICENCE)
        onnx.save(model, temporary)
        exported = onnx_runtime.load(temporary)[1]
        how |= compare(runtime, exported, films.read("val", FILMS), checkpoint["temperature"])
        check(how, out)
        write_facts(model, checkpoint, runtime, how, args.licence or LICENCE)
        onnx.save(model, temporary)
    print(
        f"{out}: {out.stat().st_size / 2**20:.0f} MiB. On {counted(how['films'], 'film')},"
        f" {films.title}, the largest difference of a probability from {path.name} is"
        f" {how['largest_difference']:.2g}; {counted(how['changed_labels'], 'label')} and"
        f" {counted(how['changed_doubts'], 'doubt')} changed"
    )
    log.info(NOTICE)


@dataclass(frozen=True)
class Films:
    """Prepared films to calibrate on and to compare on: of a dataset folder, or drawn.

    parts: of the folder, that the network trained and validated on; of another folder its splits.
    """

    folder: Path | None
    parts: Mapping[str, str | Part]
    mapping: dict[str, int]
    form: InputFormat

    @classmethod
    def of(cls, checkpoint: dict[str, Any], form: InputFormat, given: str | None) -> "Films":
        """given: a dataset folder that must be there; None is that of the training if it is."""
        config = checkpoint["config"]
        folder, parts = Path(given or config.get("dataset", "")), WHOLE
        if given or (folder / "dataset.json").exists():
            if read_about(folder)["fingerprint"] == checkpoint["fingerprint"]:
                parts = parts_of_training(folder, config.get("leave_out"), config.get("fold"))
            else:
                log.warning("%s: not the dataset of the training", folder)
        else:
            text = "The dataset of the training is not here; drawn radiographs take its place. Give"
            log.warning("%s --dataset if it is elsewhere", text)
            folder = None
        return cls(folder, parts, checkpoint["mapping"], form)

    @property
    def title(self) -> str:
        return f"validation images of {self.folder.resolve().name}" if self.folder else "drawn"

    def read(self, split: str, most: int) -> list[np.ndarray]:
        """Batches (n, C, H, W) uint8 of as many films at most."""
        if self.folder:
            part = self.parts[split]
            pixels = read_some(self.folder, part, self.mapping, self.form, most)[0].numpy()
        else:
            pixels = np.stack([self._draw(split, number) for number in range(most)])
        return [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]

    def _draw(self, split: str, number: int) -> np.ndarray:
        rng = np.random.default_rng([SPLITS.index(split), number])
        film = Image.fromarray(draw_phantom(LABELS[number % len(LABELS)], rng))
        return self.form.fit(film.convert(self.form.mode))


def compare(
    one: Runtime, other: Runtime, batches: list[np.ndarray], temperature: float
) -> dict[str, Any]:
    """How far the two differ on the films, in probabilities, labels and doubts."""

    def predict(runtime: Runtime) -> tuple[np.ndarray, list[str | None]]:
        seen, measured = zip(*map(runtime.examine_and_measure, batches), strict=True)
        logits = np.concatenate([each.logits for each in seen])
        return tempered(logits, temperature), list(chain(*map(runtime.limits.doubts, measured)))

    (p, doubts), (q, others) = predict(one), predict(other)
    return {
        "films": len(p),
        "largest_difference": float(np.abs(p - q).max()),
        "changed_labels": int((p.argmax(1) != q.argmax(1)).sum()),
        "changed_doubts": sum(
            (a is None) != (b is None) for a, b in zip(doubts, others, strict=True)
        ),
    }


def check(how: dict[str, Any], out: Path) -> None:
    """ValueError if the file differs by more than LARGEST from its checkpoint."""
    found, largest = how["largest_difference"], LARGEST[how["precision"]]
    if not found <= largest:  # nor NaN
        data = ", or the dataset of the training with --dataset"
        remedy = {
            "float32": "use the checkpoint; other versions of torch and onnxruntime may export it",
            "int8": f"give --precision float32{data}",
            "int4": f"give --precision int8{data}",
        }[how["precision"]]
        raise ValueError(
            f"{out}: not written, as a probability of {how['precision']} differs by {found:.2g}"
            f" from the checkpoint's, on {how['films']} films, {how['compared_on']}; expected at"
            f" most {largest:g}. Instead, {remedy}"
        )


if __name__ == "__main__":
    run(lambda: main(args), "export.py")

"""Names the class of chest radiographs: PNG, JPEG, DICOM ... files, folders of them, patterns.

python3 minimal_prediction.py image.png folder/ 'scans/*.dcm'       with the network in pretrained/
python3 minimal_prediction.py image.png --checkpoint experiments/NAME/best.pth     with your own
python3 minimal_prediction.py image.png --coverage 0.9          which classes may it be?

In Python:
    from minimal_prediction import load, predict
    rows = list(predict(load(), ["image.png"]))         or load("best.pth")

The exit status is 1 if a file could not be read. A research tool, not a medical device: not for
diagnosis.
"""

import argparse
import logging
import sys
from pathlib import Path

from util.flags import Parser, add_prevalence, demand
from util.script import NOTICE, leave_at_once, run, while_importing

log = logging.getLogger(__name__)


def arguments() -> argparse.Namespace:
    parser = Parser(prog="minimal_prediction.py", description=__doc__)
    add = parser.add_argument
    add("files", nargs="+", metavar="IMAGE|DICOM|DIR|PATTERN", help="what to predict, in order")
    origin = (
        "best.pth of train.py, the folder of a run with folds, or an ONNX file of export.py, which"
    )
    origin += " needs no PyTorch; classes and preprocessing come from it"
    add("--checkpoint", metavar="FILE", default="pretrained", help=origin)
    add("--format", choices=["text", "csv", "json"], default="text", help="of the output")
    pictures = "folder for a PNG of each file, with a heat map beside it"
    add("--explain", metavar="DIR", help=pictures)
    add_prevalence(parser)
    sets = "adds the classes that a film may be of: a set that holds the true one in this share of"
    add("--coverage", type=float, metavar="SHARE", help=f"{sets} new patients of each class")
    decided = "with --coverage: the label is 'undecided' unless the set is this class and no other"
    add("--abstain", action="store_true", help=decided)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    add("--batch-size", type=int, default=16, help="images a forward pass")
    args = parser.parse_args()
    demand(parser, args, ("batch_size",), 1)
    demand(parser, args, ("coverage",), 0.01, 0.999)
    if args.abstain and args.coverage is None:
        parser.error("--abstain: found no --coverage, which says what is decided; give both")
    return args


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing("minimal_prediction.py", "requirements-predict.txt")

from collections.abc import Iterable, Iterator

from tqdm import tqdm

from data.inputs import find_inputs
from model.prediction import NO_GATE, predict
from model.predictor import Predictor
from util.files import check_folder
from util.prediction.text_csv_json import LINES


def load(checkpoint: str | Path = "pretrained", device: str = "auto") -> Predictor:
    """`Predictor.load`: a network, ready to predict; without a name that of the project."""
    return Predictor.load(checkpoint, device)


def main(args: argparse.Namespace) -> None:
    if args.explain is not None:
        check_folder(args.explain)  # before the work
    predictor = load(args.checkpoint, args.device)
    files = list(find_inputs(args.files))  # to know how many; predict finds each of them again
    says = (args.prevalence, args.explain, args.coverage, args.abstain)
    rows = predict(predictor, files, args.batch_size, *says)
    # A file's name may not be valid text, and the terminal may not know all letters.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    log.info("%s: %s", predictor.name, ", ".join(predictor.classes))
    if not predictor.gate.learned:
        log.warning("%s: %s", predictor.name, NO_GATE)
    failed = 0

    def counted(rows: Iterable[dict]) -> Iterator[dict]:
        nonlocal failed
        for row in tqdm(rows, total=len(files), unit="img", leave=False, disable=None):
            failed += row["error"] is not None
            yield row

    for line in LINES[args.format](counted(rows), predictor.classes):
        tqdm.write(line, sys.stdout, end="")
    log.info(NOTICE)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    try:
        run(lambda: main(args), "minimal_prediction.py")
    except SystemExit as stop:
        leave_at_once(stop.code)

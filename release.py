"""Makes an ONNX file the network of the project: puts it into pretrained/, with its card.

python3 release.py experiments/NAME/best-int8.onnx --evaluations experiments/NAME/evaluation-*

The card, card.json, has the SHA-256 without which the network is not loaded, the films of the
training by source, hospital, country and licence, and every number of the evaluations. README.md
shows the same. A research tool, not a medical device: not for diagnosis.
"""

import argparse
import logging
from pathlib import Path

from util.flags import Parser
from util.script import NOTICE, run, while_importing

log = logging.getLogger(__name__)
MOST_BYTES = 50 * 2**20  # hosts of git warn of larger files
FILE = "covidnext50.onnx"


def arguments() -> argparse.Namespace:
    parser = Parser(prog="release.py", description=__doc__)
    add = parser.add_argument
    add("network", metavar="FILE.onnx", help="of export.py --precision int8 or int4")
    measured = "what evaluate.py wrote about it, and about networks of its recipe"
    add("--evaluations", metavar="DIR", nargs="+", required=True, help=measured)
    add("--dataset", metavar="DIR", help="of the training; without it the network's own")
    add("--out", metavar="DIR", default="pretrained", help="where to")
    return parser.parse_args()


if __name__ == "__main__":
    args = arguments()  # before the heavy imports, so that -h and a wrong flag answer at once
    while_importing("release.py")

import json
import shutil

import pandas as pd

from data.audit.counts import origins
from data.dataset_folder import read_about, read_table
from data.left_out import of_sources
from data.split import SPLITS
from data.subject import left_out
from model.predictor import Predictor
from util.files import atomic_path, make_folder, write_json
from util.model_file import CARD, file_hash
from util.report.released_card import released_card
from util.report.write import write_card


def main(args: argparse.Namespace) -> None:
    predictor = Predictor.load(args.network)
    path, checkpoint = Path(predictor.path), predictor.checkpoint
    if path.suffix != ".onnx" or path.stat().st_size > MOST_BYTES:
        size = f"{path.name}, {path.stat().st_size / 2**20:.0f} MiB"
        raise ValueError(
            f"{path}: found {size}; expected an ONNX file of at most {MOST_BYTES // 2**20} MiB, as"
            " export.py --precision int8 and int4 make it"
        )
    dataset = Path(args.dataset or checkpoint["config"].get("dataset", "dataset"))
    about = read_about(dataset)
    if about["fingerprint"] != checkpoint["fingerprint"]:
        raise ValueError(
            f"{dataset}: not the dataset that {path.name} was trained on; give that as --dataset"
        )
    evaluations = [read_evaluation(Path(folder)) for folder in args.evaluations]
    films = origins({split: films_of(dataset, split, checkpoint) for split in SPLITS})
    head = [*map(str.capitalize, films.index.names), *films.columns]
    table = {"head": head, "rows": films.reset_index().to_numpy().tolist()}
    card = {
        "file": FILE,
        "sha256": file_hash(path),
        "licence": checkpoint["licence"],
        "sections": released_card(predictor.name, checkpoint, about, table, evaluations),
    }
    out = make_folder(args.out)
    with atomic_path(out / FILE) as temporary:
        shutil.copyfile(path, temporary)
    write_json(out / CARD, card)
    readme = write_card(out, card)
    print(f"{out / FILE}: {path.stat().st_size / 2**20:.0f} MiB. Its card: {readme}")
    log.info(NOTICE)


def read_evaluation(folder: Path) -> dict:
    """metrics.json of an evaluation; ValueError for what evaluate.py did not write."""
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["record"]["Command"], metrics["prediction_sets"]
    except (OSError, ValueError, KeyError, TypeError):
        text = "not there, or not of this version of evaluate.py; evaluate again"
        raise ValueError(f"{path}: {text}") from None
    return metrics


def films_of(dataset: Path, split: str, checkpoint: dict) -> pd.DataFrame:
    """The metadata of the split's images that the network's training had a use for."""
    table = read_table(dataset, split)
    unseen = of_sources(table, left_out(checkpoint))
    return table[table["label"].isin(checkpoint["mapping"]) & ~unseen]


if __name__ == "__main__":
    run(lambda: main(args), "release.py")

"""The end of a training with folds: each image predicted by a network that never saw its patient.

experiments/NAME/
  fold-1/out_of_fold.csv ...    the images that the fold held out, by its best.pth
  out_of_fold.csv               all of them
  report.html report.md
  folds.json                    scores; written last: where it is, the rest is whole
"""

import logging
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from data.dataset import RadiographDataset
from data.sampling import in_order
from data.split.folds import parts_of_training
from model.predictor import Predictor
from util.checkpoint import load_checkpoint
from util.class_names import class_names
from util.files import atomic_path, is_newer, write_json
from util.metrics.folds import score_folds
from util.report.folds import how, write_report
from util.training.folds import OUT_OF_FOLD, fold_files, numbers
from util.training.out_of_fold import read_out_of_fold

log = logging.getLogger(__name__)


def predict_held_out(folder: Path, device: str, progress: Callable[[Iterable, str], Iterable]):
    """Writes out_of_fold.csv of a fold that has ended, unless it is there.

    The metadata of the images that it held out; fold; truth; and of each class the logit over the
    fold's temperature, and the probability. progress: wraps images and batches, under a title.
    """
    best, out = folder / "best.pth", folder / OUT_OF_FOLD
    if is_newer(out, best):
        return
    predictor = Predictor.load(best, device)
    checkpoint, classes = predictor.checkpoint, predictor.classes
    config, mapping = checkpoint["config"], checkpoint["mapping"]
    part = parts_of_training(Path(config["dataset"]), config["leave_out"], config["fold"])
    images = RadiographDataset(config["dataset"], part["held_out"], mapping, predictor.form)
    batches = progress(in_order(len(images), config["batch_size"]), "Images held out")
    logits = predictor.examine(images.__getitems__(rows)[0] for rows in batches).logits
    table = images.table.assign(
        fold=numbers(config["fold"])[0], truth=[classes[k] for k in images.targets]
    )
    table[[f"logit({name})" for name in classes]] = logits.astype(float) / checkpoint["temperature"]
    table[[f"p({name})" for name in classes]] = predictor.probabilities(logits)
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False)


def sum_up(run: Path, number: int) -> None:
    """What is of all folds, once each has ended and has its out_of_fold.csv. number: of folds."""
    files = fold_files(run)
    tables = [file.with_name(OUT_OF_FOLD) for file in files]
    ended = sum(map(is_newer, tables, files))
    if ended < number:
        text = "%s: %d of %d folds have ended; train.py --name %s --resume trains the others, if no"
        text += " other process does"
        log.info(text, run, ended, number, run.name)
        return
    if not all(is_newer(run / "folds.json", table) for table in tables):
        table = pd.concat([read_out_of_fold(file) for file in tables]).sort_values("filename")
        checkpoint = load_checkpoint(files[0])
        scores = score_folds(table, class_names(checkpoint["mapping"]))
        scores["fingerprint"] = checkpoint["fingerprint"]
        scores["leave_out"] = checkpoint["config"]["leave_out"]
        scores["how"] = how(load_checkpoint(file)["chosen_by"] for file in files)
        with atomic_path(run / OUT_OF_FOLD) as temporary:
            table.to_csv(temporary, index=False)
        write_report(run, scores)
        write_json(run / "folds.json", scores)
    quoted = shlex.quote(str(run))
    log.info("%s: all folds have ended. Next: python3 evaluate.py %s", run, quoted)

"""Files -> rows: the class of each, its probabilities, and what is doubtful.

Scripts and pages share it, so that all of them give the same row for the same file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.inputs import Input, find_inputs, read_ahead
from model.predictor import Predictor
from util.prediction.pictures import Pictures
from util.script import NOTICE

NO_GATE = (
    "no gate in it; only blank images, colour photographs and DICOM files that say they are side"
    " views are doubted"
)


class Look(NamedTuple):
    """What a predictor makes of a file: the row of `predict`, and what a picture of it takes.

    film, heat and part are None where the file could not be read, and film and part also where no
    films were asked for.
    """

    row: dict
    film: np.ndarray | None = None  # (H, W) uint8, as large as the file
    part: tuple[int, int, int, int] | None = None  # of the film, which the heat map covers
    heat: np.ndarray | None = None  # (h, w), see model.runtime.Examined
    logits: np.ndarray | None = None  # (K,) float32, which a `Predictor.scorer` takes


def predict(
    predictor: Predictor,
    files: str | Path | Iterable[str | Path],
    batch_size: int = 16,
    prevalence: Mapping[str, float] | None = None,
    explain: str | Path | None = None,
) -> Iterator[dict]:
    """One dict per file, in order, each as soon as its batch is done; no image is kept.

    file, label, probabilities {class: p}; doubtful: None, or why it may be no frontal chest
    radiograph; checkpoint: name@hash; with explain, explanation: where its picture lies; error:
    None, or why it could not be read. Then label, doubtful and explanation are None, and
    probabilities is empty; the other files are not affected.

    files: files, folders and patterns, or one of them; see `data.inputs.find_inputs`. Each is
    looked up when its turn comes.
    prevalence: how common each class is where the files come from; without it the probabilities
    are for the mixture of the training.
    explain: a folder for the pictures with heat maps, see `util.prediction.pictures`.
    At the call: ValueError for a batch size below 1 and a prevalence that does not fit, OSError for
    an explain that cannot be a folder.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: found {batch_size}; expected 1 or more")
    score = predictor.scorer(prevalence)
    pictures = None if explain is None else Pictures(explain)
    batches = read_ahead(find_inputs(files), predictor.form, batch_size, films=pictures is not None)
    looks = (look for batch in batches for look in look_at(predictor, batch, score))
    return (_explained(look, pictures) if pictures else look.row for look in looks)


def look_at(predictor: Predictor, batch: list[Input], score: Callable) -> Iterator[Look]:
    """A look at each file of a batch, in order. score: of `Predictor.scorer`."""
    seen = iter(_examine(predictor, [item for item in batch if item.error is None], score))
    for item in batch:
        row = {"file": item.file, "label": None, "probabilities": {}, "doubtful": None}
        row |= {"checkpoint": predictor.name, "error": item.error}
        if item.error is not None:
            yield Look(row)
            continue
        logits, values, heat, doubt = next(seen)
        row |= scored(predictor.classes, values)
        row["doubtful"] = item.doubt or doubt
        film = item.film
        part = None if film is None else predictor.form.seen(*film.shape[::-1])
        yield Look(row, film, part, heat, logits)


def scored(classes: Sequence[str], values: np.ndarray) -> dict:
    """What a row says of probabilities (K,)."""
    label = classes[int(values.argmax())]
    return {"label": label, "probabilities": dict(zip(classes, values.tolist(), strict=True))}


def _explained(look: Look, pictures: Pictures) -> dict:
    """The row with the place of its picture, before `error`."""
    row, error = dict(look.row), look.row["error"]
    del row["error"]
    picture = None if error else pictures.write(row, look.film, look.part, look.heat, NOTICE)
    return {**row, "explanation": picture and str(picture), "error": error}


def _examine(
    predictor: Predictor, batch: list[Input], score: Callable
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, str | None]]:
    """Logits and probabilities (K,), heat map (h, w) and doubt of each file of a batch that can be
    read."""
    if not batch:
        return iter(())
    pixels = np.stack([item.pixels for item in batch])
    seen, doubts = predictor.examine_and_doubt(pixels)
    if not np.isfinite(seen.logits).all():
        raise ValueError(f"{predictor.name}: its output is not a number; it is broken")
    return zip(seen.logits, score(seen.logits), seen.heat, doubts, strict=True)

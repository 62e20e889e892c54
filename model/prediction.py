"""Files -> rows: the class of each, its probabilities, and what is doubtful.

Scripts and pages share it, so that all of them give the same row for the same file.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.inputs import Input, find_inputs, read_ahead
from model.predictor import Predictor
from util.prediction.pictures import Pictures
from util.prediction.sets import UNREAD, decided, describe
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
    logits: np.ndarray | None = None  # (K,) float32, which a `Reader` takes


class Reader:
    """Logits -> what a row says of them.

    prevalence, coverage: as for `predict`, with its errors.
    """

    def __init__(
        self,
        predictor: Predictor,
        prevalence: Mapping[str, float] | None = None,
        coverage: float | None = None,
    ):
        self._classes, self._unmoved = predictor.classes, predictor.probabilities
        self._score = predictor.scorer(prevalence)
        self._sets = None if coverage is None else predictor.prediction_sets(coverage)

    @property
    def unread(self) -> dict:
        """Of a file that could not be read."""
        return {"label": None, "probabilities": {}} | (UNREAD if self._sets else {})

    def __call__(self, logits: np.ndarray) -> list[dict]:
        """(N, K) -> label and probabilities of each, and with a coverage its set."""
        read = []
        for values, unmoved in zip(self._score(logits), self._unmoved(logits), strict=True):
            label = self._classes[int(values.argmax())]
            chances = dict(zip(self._classes, values.tolist(), strict=True))
            says = {"label": label, "probabilities": chances}
            if self._sets:
                says |= describe(self._sets, self._classes, unmoved, label)
            read.append(says)
        return read


def predict(
    predictor: Predictor,
    files: str | Path | Iterable[str | Path],
    batch_size: int = 16,
    prevalence: Mapping[str, float] | None = None,
    explain: str | Path | None = None,
    coverage: float | None = None,
    abstain: bool = False,
) -> Iterator[dict]:
    """One dict per file, in order, each as soon as its batch is done; no image is kept.

    file, label, probabilities {class: p}; with coverage, set: the classes in its prediction set,
    and set_note: None, or what is to be said of it; doubtful: None, or why it may be no frontal
    chest radiograph; checkpoint: name@hash; with explain, explanation: where its picture lies;
    error: None, or why it could not be read. Then probabilities is empty, and label, set, set_note,
    doubtful and explanation are None; the other files are not affected.

    files: files, folders and patterns, or one of them; see `data.inputs.find_inputs`. Each is
    looked up when its turn comes.
    prevalence: how common each class is where the files come from; without it the probabilities
    are for the mixture of the training.
    explain: a folder for the pictures with heat maps, see `util.prediction.pictures`.
    coverage: in what share of new patients of each class the set holds it, see
    `util.metrics.conformal`; a prevalence does not move it.
    abstain: with a coverage, the label is left undecided unless it is the only class in the set.
    At the call: ValueError for a batch size below 1, for a prevalence or a coverage that does not
    fit, and for abstain without a coverage; OSError for an explain that cannot be a folder.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: found {batch_size}; expected 1 or more")
    if abstain and coverage is None:
        raise ValueError("abstain: found no coverage, which says what is decided; give both")
    read = Reader(predictor, prevalence, coverage)
    pictures = None if explain is None else Pictures(explain)
    batches = read_ahead(find_inputs(files), predictor.form, batch_size, films=pictures is not None)
    looks = (look for batch in batches for look in look_at(predictor, batch, read))
    if abstain:
        looks = (look._replace(row=decided(look.row)) for look in looks)
    return (_explained(look, pictures) if pictures else look.row for look in looks)


def look_at(predictor: Predictor, batch: list[Input], read: Reader) -> Iterator[Look]:
    """A look at each file of a batch, in order."""
    seen = iter(_examine(predictor, [item for item in batch if item.error is None], read))
    for item in batch:
        row = {"file": item.file, **read.unread, "doubtful": None}
        row |= {"checkpoint": predictor.name, "error": item.error}
        if item.error is not None:
            yield Look(row)
            continue
        logits, says, heat, doubt = next(seen)
        row |= says
        row["doubtful"] = item.doubt or doubt
        film = item.film
        part = None if film is None else predictor.form.seen(*film.shape[::-1])
        yield Look(row, film, part, heat, logits)


def _explained(look: Look, pictures: Pictures) -> dict:
    """The row with the place of its picture, before `error`."""
    row, error = dict(look.row), look.row["error"]
    del row["error"]
    picture = None
    if not error:
        mapped = [*row["probabilities"]][look.logits.argmax()]
        picture = pictures.write(row, look.film, look.part, look.heat, mapped, NOTICE)
    return {**row, "explanation": picture and str(picture), "error": error}


def _examine(
    predictor: Predictor, batch: list[Input], read: Reader
) -> Iterator[tuple[np.ndarray, dict, np.ndarray, str | None]]:
    """Logits (K,), what the row says of them, heat map (h, w) and doubt of each file of a batch
    that can be read."""
    if not batch:
        return iter(())
    pixels = np.stack([item.pixels for item in batch])
    seen, doubts = predictor.examine_and_doubt(pixels)
    if not np.isfinite(seen.logits).all():
        raise ValueError(f"{predictor.name}: its output is not a number; it is broken")
    return zip(seen.logits, read(seen.logits), seen.heat, doubts, strict=True)

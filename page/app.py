"""The server of the page: one film in, its row out. It keeps nothing.

GET  /network   the network's classes and card, and the limits of the page
POST /look      a file -> its row as `predict` gives it, with logits and heat map
POST /film      a file -> the radiograph as an 8-bit PNG of its full size
POST /rows      rows, a population and a coverage -> the rows for these, as JSON or CSV
"""

import json
from collections.abc import Collection
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from data.images.find_images import is_candidate
from data.images.gray import UnreadableImageError
from data.images.in_memory import InMemory
from data.images.radiograph import read_radiograph
from data.inputs import read_input
from model.prediction import NO_GATE, Reader, look_at
from model.predictor import Predictor
from page.guard import Guard
from page.turns import Turns
from util.model_file import card_of
from util.plots.heatmap import COLOURS, STRONGEST
from util.prediction.sets import UNREAD
from util.prediction.text_csv_json import csv_lines
from util.report.card import own_card
from util.report.facts import is_calibrated

STATIC = Path(__file__).parent / "static"
HELD = 3  # films in memory: one is read by the network, the others arrive
ROWS_BYTES = 2**24  # 40,000 rows
COLUMNS = {"file", "label", "probabilities", "doubtful", "checkpoint", "error"}
COVERAGE = 0.9  # of the prediction sets, where the page starts


def make_app(predictor: Predictor, names: Collection[str], most_bytes: int) -> ASGIApp:
    """names: of the server, as in `Guard`; most_bytes: of one file."""
    page = Page(predictor, most_bytes)
    routes = [
        Route("/network", page.network),
        Route("/look", page.look, methods=["POST"]),
        Route("/film", page.film, methods=["POST"]),
        Route("/rows", page.rows, methods=["POST"]),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    errors = {HTTPException: _in_json, ClientDisconnect: _unheard}
    return Guard(Starlette(routes=routes, exception_handlers=errors), names)


class Page:
    """What the page asks of a predictor."""

    def __init__(self, predictor: Predictor, most_bytes: int):
        self.predictor = predictor
        self.films, self.tables = Turns(HELD, most_bytes), Turns(1, ROWS_BYTES)

    async def network(self, request: Request) -> Response:
        predictor = self.predictor
        card = card_of(predictor.path).get("sections") or own_card(predictor.checkpoint)
        return _json(
            {
                "name": predictor.name,
                "classes": predictor.classes,
                "prior": predictor.checkpoint["prior"] or None,
                "no_gate": None if predictor.gate.learned else NO_GATE,
                "calibrated": is_calibrated(predictor.checkpoint),
                "coverage": self._coverage(),
                "card": card,
                "most_bytes": self.films.most_bytes,
                "colours": COLOURS.tolist(),
                "strongest": STRONGEST,
            }
        )

    async def look(self, request: Request) -> Response:
        """{"row", "logits", "heat"}, the last two None with an error; `?name=` names the file, and
        with `&folder` a row that is None says that it is not one of the images of a folder;
        `&coverage=0.9` adds a prediction set."""
        asked = request.query_params
        name, folder, coverage = asked.get("name", ""), "folder" in asked, asked.get("coverage")
        try:
            read = Reader(self.predictor, coverage=_share(coverage))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        work = partial(self._look, name, folder, read)
        return _json(await self.films.take(request, work))

    def _look(self, name: str, folder: bool, read: Reader, content: bytes) -> dict:
        file = InMemory(name, content)
        if folder and not is_candidate(file):
            return {"row": None}
        item = read_input(file, self.predictor.form)
        # Each film by itself, so that its numbers do not depend on what else was dropped.
        try:
            (look,) = look_at(self.predictor, [item], read)
        except ValueError as error:
            raise HTTPException(500, str(error)) from None
        arrays = {"logits": look.logits, "heat": look.heat}
        return {"row": look.row} | {
            name: None if values is None else values.tolist() for name, values in arrays.items()
        }

    async def film(self, request: Request) -> Response:
        """The header Film-Part says of which part of it the heat map is: left, top, right, bottom
        in pixels. 422 with the reason where the file cannot be read."""
        png, part = await self.films.take(request, self._film)
        return Response(png, media_type="image/png", headers={"Film-Part": part})

    def _film(self, content: bytes) -> tuple[bytes, str]:
        try:
            image = read_radiograph(InMemory("film", content))
        except UnreadableImageError as error:
            raise HTTPException(422, str(error).removeprefix("film: ")) from None
        png = BytesIO()
        image.save(png, "PNG", compress_level=1)
        return png.getvalue(), ",".join(map(str, self.predictor.form.seen(*image.size)))

    async def rows(self, request: Request) -> Response:
        """{"rows", "logits", "prevalence", "coverage", "format"} -> the rows for that population,
        or, where it is None, for the mixture of the training, and with the prediction sets of that
        coverage, unless it is None. The format is json or csv; 400 for another body.
        """
        form, rows = await self.tables.take(request, self._rows)
        if form == "csv":
            table = "".join(csv_lines(rows, self.predictor.classes))
            return PlainTextResponse(table, media_type="text/csv")
        return _json(rows)

    def _rows(self, content: bytes) -> tuple[str, list[dict]]:
        try:
            asked = json.loads(content)
            stated = asked["prevalence"] or {}
            prevalence = {name: float(share) for name, share in stated.items()}
            coverage = None if asked["coverage"] is None else float(asked["coverage"])
            pairs = zip(asked["rows"], asked["logits"], strict=True)
            columns = COLUMNS if coverage is None else COLUMNS | UNREAD.keys()
            pairs = [self._checked(*pair, columns) for pair in pairs]
            if (form := asked["format"]) not in ("json", "csv"):
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            text = (
                "expected rows, logits of each, prevalence, coverage and format, as the page sends"
            )
            raise HTTPException(400, text) from None
        try:
            read = Reader(self.predictor, prevalence, coverage)
            return form, [row | _said(read, logits) for row, logits in pairs]
        except ValueError as error:
            raise HTTPException(400, str(error)) from None

    def _checked(
        self, row: dict, logits: list | None, columns: set[str]
    ) -> tuple[dict, np.ndarray | None]:
        """ValueError or TypeError for what is not a row, and for logits that do not fit."""
        if row.keys() != columns or not isinstance(row["probabilities"], dict):
            raise ValueError
        values = None if logits is None else np.array(logits, np.float32)
        if values is not None and values.shape != (len(self.predictor.classes),):
            raise ValueError
        if values is not None and not np.isfinite(values).all():
            raise ValueError
        return row, values

    def _coverage(self) -> float | None:
        """Where the page starts; None for a network without prediction sets."""
        films = self.predictor.validation
        return None if films is None or films.patients is None else COVERAGE


def _share(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise ValueError(f"coverage: found {text!r}; expected a share, as 0.9") from None


def _said(read: Reader, logits: np.ndarray | None) -> dict:
    """Of one film, so that its numbers do not depend on the others; nothing of one not read."""
    return {} if logits is None else read(logits[None])[0]


def _json(value: Any, status: int = 200) -> Response:
    """In ASCII: a name may hold what is not valid in UTF-8."""
    return Response(json.dumps(value), status, media_type="application/json")


def _in_json(request: Request, error: HTTPException) -> Response:
    response = _json({"error": error.detail}, error.status_code)
    response.headers.update(error.headers or {})
    return response


def _unheard(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # to a client that has gone

"""Reports: report.html, which needs no network, and report.md beside it; and the card of a network
as README.md."""

import base64
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from util.files import atomic_path
from util.metrics.intervals import Metric
from util.report.parts import Cell, Figure, Section, interval, text
from util.report.sections import FIGURES, headlines, sections

GALLERY = "gallery"  # folder of the pictures of films
LONGEST = 60  # letters of a file's name in the name of its picture


def write_report(
    folder: str | Path,
    metrics: Mapping,
    facts: Mapping[str, str],
    plots: Mapping[str, Path],
    gallery: Sequence[Mapping],
    card: Mapping,
) -> Path:
    """Write `folder`/report.html, report.md and gallery/, and return the path of the first.

    `metrics` is what metrics.json holds. `facts` are names and values of the record: checkpoint,
    versions, command. `plots` are PNG files by their names in FIGURES; one that is not there is
    left out. `gallery` are mistakes, the worst first, each {"image": bytes of a PNG, "file",
    "truth", "predicted", "probability", "source", "view"}. `card` is of `util.report.model_card`.

    report.html holds all images. report.md, with the same numbers, links them. Names from outside
    are escaped in both. Raises ValueError for a plot of another name.
    """
    if unknown := set(plots) - set(FIGURES):
        raise ValueError(f"plots: found {min(unknown)}; expected some of {', '.join(FIGURES)}.")
    folder = Path(folder)
    with_maps = metrics["heat_outside_lungs"] is not None
    mistakes = write_pictures(folder, [_mistake(row) for row in gallery], with_maps)
    parts = sections(metrics, facts, plots, mistakes, card)
    return write_pages(folder, "COVID-Next evaluation", metrics, headlines(metrics), parts)


def write_pages(
    folder: Path,
    title: str,
    metrics: Mapping,
    headlines: Sequence[tuple[str, Metric, Mapping[str, Cell]]],
    sections: Sequence[Section],
) -> Path:
    """report.html, whose path is returned, and report.md.

    metrics: images, patients, classes, headline, verdicts and warnings, as in metrics.json.
    headlines: name, number, and what cheats have in its place.
    """
    content = {"title": title, "metrics": metrics, "headlines": headlines, "sections": sections}
    _render("report.md.jinja", content, folder / "report.md", finalize=_markdown)
    return _render("report.html.jinja", content, folder / "report.html")


def write_card(folder: str | Path, card: Mapping) -> Path:
    """Write `folder`/README.md, and return its path. `card` is what card.json of release.py holds.

    It depends on nothing but the card.
    """
    return _render("card.md.jinja", card, Path(folder, "README.md"), finalize=_markdown)


def _render(template: str, content: Mapping, path: Path, **options: Any) -> Path:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= {"text": text, "interval": interval, "data_uri": _data_uri}
    environment.filters["link"] = lambda image: Markup(
        quote(Path(os.path.relpath(image, path.parent)).as_posix())
    )
    with atomic_path(path) as temporary:
        page = environment.get_template(template).render(content)
        # The name of a folder may not be valid UTF-8.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return path


def write_pictures(
    folder: Path, pictures: Sequence[tuple[bytes, str, str]], with_maps: bool
) -> list[Figure]:
    """`folder`/gallery/ with a PNG for each picture: (PNG, file of the film, title). They are
    numbered; those of an earlier report go."""
    for old in (folder / GALLERY).glob("[0-9]*-*.png"):
        old.unlink()
    figures = []
    for number, (picture, file, title) in enumerate(pictures, 1):
        stem = re.sub(r"[^\w-]", "_", Path(file).stem, flags=re.ASCII)[:LONGEST]
        path = folder / GALLERY / f"{number:02d}-{stem}.png"
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_bytes(picture)
        alt = f"Radiograph {file}"
        alt += ", and beside it the same under its heat map" if with_maps else ""
        figures.append(Figure(path, title, alt))
    return figures


def _mistake(row: Mapping) -> tuple[bytes, str, str]:
    named = f"{row['predicted']} with {text(row['probability'])}, is {row['truth']}"
    whose = ", ".join((row["file"], row["source"], row["view"] or "unknown view"))
    return row["image"], row["file"], f"Named {named}. {whose}"


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _markdown(value: Any) -> Any:
    """Text that shows as it is, in one line, also in a cell of a table; jinja's own for macros."""
    if isinstance(value, Markup):
        return value
    line = " ".join(str(value).split()).replace("&", "&amp;").replace("<", "&lt;")
    return Markup(re.sub(r"([\\`*_\[\]#|~$>])", r"\\\1", line))

"""Heat maps of single files, as PNG files that say what they are."""

import os
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from util.files import atomic_path, make_folder
from util.prediction.sets import in_words
from util.prediction.text_csv_json import printable

LINE = 18  # pixels of a line of the footer
LONGEST = 200  # bytes of a name, of the 255 that file systems have
LETTER = 7  # pixels across, at most on the average
NARROWEST = 320  # pixels, so that the footer of a narrow radiograph has no tower of words
BAR = 14  # pixels across the scale
BENEATH = 96  # gray on which the scale is drawn, as the map lies on a film
EDGE = 6  # pixels left free beside the footer and the scale


class Pictures:
    """A folder that gets one picture a file; it is made if it is not there (OSError if it cannot).

    `scan.dcm` becomes `scan.dcm.png`, another file of that name `scan.dcm-2.png`, in the order in
    which they come, so that the same command writes the same names.
    """

    def __init__(self, folder: str | Path):
        self.folder = make_folder(folder)
        self._taken: set[str] = set()

    def write(
        self,
        row: dict,
        film: np.ndarray,
        seen: tuple[int, int, int, int],
        heat: np.ndarray,
        mapped: str,
        notice: str,
    ) -> Path:
        """The film (H, W) uint8, and beside it its map (h, w) over it; where it lies.

        row: file, label, probabilities, doubtful and, if it has one, the set of a prediction. Below
        the images, and in the text of the PNG, stand these and the notice. seen: which part of the
        film the map is of, as in `util.plots.heatmap.overlay`. mapped: the class that it is of,
        which a prevalence may have made another than the likeliest.
        """
        from util.plots.heatmap import overlay  # imports OpenCV, which only pictures need

        likeliest = max(row["probabilities"], key=row["probabilities"].get)
        said = likeliest if row["label"] == likeliest else f"{row['label']}; likeliest {likeliest}"
        lines = [
            f"{said}: {row['probabilities'][likeliest]:.3f}",
            *([f"Set: {in_words(row)}"] if row.get("set") is not None else []),
            *([f"Doubtful: {row['doubtful']}"] if row["doubtful"] else []),
            f"On the right, what spoke for {mapped}, from"
            f" {heat.shape[1]} x {heat.shape[0]} cells, smoothed. Scale: 1 is where this film spoke"
            " most for it, 0 where it did not.",
            notice,
        ]
        path = self.folder / self._name(Path(row["file"]).name)
        text = PngInfo()
        text.add_itxt("Title", printable(row["file"]))
        text.add_itxt("Description", " ".join(lines))
        picture = _with_footer(_with_scale(overlay(film, heat, seen)), lines)
        with atomic_path(path) as temporary:
            picture.save(temporary, "PNG", pnginfo=text)
        return path

    def _name(self, name: str) -> str:
        stem = name
        while len(os.fsencode(stem)) > LONGEST:
            stem = stem[:-1]
        candidate, number = f"{stem}.png", 1
        while candidate.casefold() in self._taken:  # as some file systems see them
            number += 1
            candidate = f"{stem}-{number}.png"
        self._taken.add(candidate.casefold())
        return candidate


def _with_scale(pictures: np.ndarray) -> Image.Image:
    """The pictures with the colours of the map on their right, from 1 down to 0."""
    from util.plots.heatmap import covered

    height = max(len(pictures), 4 * LINE)
    share = np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], BAR, axis=1)
    bar = Image.fromarray(covered(np.full(share.shape, BENEATH, np.uint8), share))
    across = pictures.shape[1]
    whole = Image.new("RGB", (across + 2 * EDGE + BAR + 2 * LINE, height), "black")
    whole.paste(Image.fromarray(pictures))
    whole.paste(bar, (across + EDGE, 0))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(LINE - 5)
    for share in (1, 0.5, 0):
        place = (across + 2 * EDGE + BAR, round((1 - share) * (height - LINE)))
        draw.text(place, str(share), "white", font)
    return whole


def _with_footer(picture: Image.Image, lines: list[str]) -> Image.Image:
    """The picture with lines of text below it, broken where it ends."""
    width = max(picture.width, NARROWEST)
    letters = (width - 2 * EDGE) // LETTER
    lines = [part for line in lines for part in textwrap.wrap(line, letters)]
    whole = Image.new("RGB", (width, picture.height + LINE * len(lines) + 8), "black")
    whole.paste(picture)
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(LINE - 5)
    for k, line in enumerate(lines):
        draw.text((EDGE, picture.height + 4 + LINE * k), line, "white", font)
    return whole

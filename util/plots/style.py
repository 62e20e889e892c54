"""What all plots share. No display and no global state."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from util.files import atomic_path

# Okabe & Ito (2008), https://jfly.uni-koeln.de/color: distinct for every kind of colour vision.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
INK, PALE = "#333333", "#BBBBBB"


def wrap(name: str, width: int) -> str:
    """A class's name in lines of `width`; a dollar in it must not start a formula."""
    return textwrap.fill(name, width).replace("$", r"\$")


def strip(axes: Axes) -> None:
    """Takes away the upper and the right edge."""
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> Path:
    """Writes a PNG, whole or not at all."""
    # Tight is a second drawing, which a figure that lays itself out has no need of.
    box = None if figure.get_layout_engine() else "tight"
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, bbox_inches=box)
    return Path(path)

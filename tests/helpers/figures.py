"""What tests of pictures examine."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image


def kept_figures(monkeypatch: pytest.MonkeyPatch, module) -> list[Figure]:
    """The figures that the module writes from now on, as they were drawn."""
    figures: list[Figure] = []
    save = module.save_figure
    monkeypatch.setattr(
        module, "save_figure", lambda figure, path: figures.append(figure) or save(figure, path)
    )
    return figures


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def assert_has_ink(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
        assert np.asarray(image.convert("L")).std() > 5

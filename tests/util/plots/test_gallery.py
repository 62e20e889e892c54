"""The worst mistakes, with and without what spoke for them."""

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from util.plots.gallery import HEIGHT, gallery


@pytest.mark.parametrize("with_maps", [True, False])
def test_a_mistake_is_the_film_and_beside_it_its_map_if_there_is_one(with_maps):
    rows = [("a", "x", "x"), ("b", "x", "y"), ("c", "y", "x")]
    table = pd.DataFrame(rows, columns=["filename", "truth", "predicted"])
    table = table.assign(source="s", view="PA")
    chances = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
    films = np.arange(3 * 96 * 64).reshape(3, 96, 64).astype(np.uint8)
    heat = np.ones((3, 2, 2)) if with_maps else None
    found = gallery(table, lambda row: films[row], chances, heat)
    assert [(one["file"], one["probability"]) for one in found] == [("c", 0.8), ("b", 0.6)]
    width = HEIGHT * 64 // 96
    sizes = {Image.open(BytesIO(one["image"])).size for one in found}
    assert {(w > width, h) for w, h in sizes} == {(with_maps, HEIGHT)}

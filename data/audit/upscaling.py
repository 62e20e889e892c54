"""Films that are smaller than the images of the dataset: scaled up, their blur tells the source."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from data.images.radiograph import image_size
from data.record import Record

MOST = 1.1  # times by which a source may be scaled up
SMALLER = 0.1  # of the films of a source may be smaller than its side
STEP = 32  # pixels; the network halves its input five times
LARGEST = 256  # pixels, the default of --size
ENOUGH = 1000  # films of a source whose headers are read


def sides(films: pd.DataFrame, fit: str) -> dict[str, int]:
    """The side, in pixels, that nine of ten films of each source have at least.

    films: `source`, and `width` and `height` of the raw file. Their shorter side counts, which is
    scaled up most; of films that are padded (see `Preparation`) the longer one.
    """
    raw = films[["width", "height"]]
    side = raw.max(axis=1) if fit == "pad" else raw.min(axis=1)
    return side.groupby(films["source"]).quantile(SMALLER, "lower").astype(int).to_dict()


def upscaling(films: pd.DataFrame, size: int, fit: str) -> dict:
    """By which `factors` the films of each source are scaled to `size`, and the `common_size`.

    films, fit: as for `sides`.
    """
    of_source = sides(films, fit)
    factors = {source: size / side for source, side in of_source.items()}
    return {"factors": factors, "common_size": common_size(of_source)}


def common_size(of_source: Mapping[str, int]) -> int:
    """The largest size at which no source is scaled up more than MOST, in whole STEPs to LARGEST.

    of_source: its side, of `sides`.
    """
    size = min(LARGEST, int(MOST * min(of_source.values())))
    return max(STEP, size // STEP * STEP)


def size_by_headers(records: Sequence[Record], fit: str) -> int:
    """`common_size` of raw files. Of a large source some are read, evenly through its table."""
    paths = defaultdict(list)
    for record in records:
        paths[record.source].append(record.path)
    films = [
        (source, *size)
        for source, all_of_it in paths.items()
        for path in all_of_it[:: -(-len(all_of_it) // ENOUGH)]
        if (size := image_size(path))
    ]
    if not films:
        return LARGEST  # none can be read, as `prepare` will say
    return common_size(sides(pd.DataFrame(films, columns=["source", "width", "height"]), fit))

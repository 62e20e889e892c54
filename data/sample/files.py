"""What the drawn sources need: random generators by name, patients, CSV and image files."""

import csv
import io
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def image_count(k: int) -> int:
    """Return how many images the k-th patient of a kind has: 1, 2 or 3, and 4 / 3 on average."""
    return 1 + (k % 4 == 0) + (k % 12 == 0)


def generator(seed: int, *name: str) -> np.random.Generator:
    """Return the generator of the thing of that name; what was drawn before does not change it."""
    return np.random.default_rng([seed, zlib.crc32("/".join(name).encode())])


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of an image file of Pillow's `kind`."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def cut_off(content: bytes) -> bytes:
    """Cut off the end, as a broken download does; what is left still begins like a good file."""
    return content[: len(content) * 3 // 4]

"""The file of a network: best.pth of a run, an ONNX file of export.py, or the project's own."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

# The folder of the project's network; its name stands for that, wherever one works.
NAME = "pretrained"
PRETRAINED = Path(__file__).parent.parent / NAME
CARD = "card.json"
NO_NETWORK = (
    "pretrained: no network in it yet; train one with train.py (README.md, step 3) and give its"
    " file, such as experiments/NAME/best.pth, or make that of the project: make pretrained"
)


def model_file(path: str | Path) -> Path:
    """Of a checkpoint or an ONNX file; of a run's folder its best.pth, of a folder with a card the
    network of the card.

    path: NAME is the folder PRETRAINED. FileNotFoundError if there is no file. ValueError for a
    file with another hash than the card beside it says.
    """
    path = Path(path)
    path = PRETRAINED if path == Path(NAME) else path
    folder = path if path.is_dir() else path.parent
    card = read_card(folder)
    if path == PRETRAINED and not card:
        raise FileNotFoundError(NO_NETWORK)
    file = folder / card.get("file", "best.pth") if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; expected best.pth of a run, or an ONNX file of export.py"
        )
    if card.get("file") == file.name and (found := file_hash(file)) != card["sha256"]:
        raise ValueError(
            f"{file}: found SHA-256 {found[:8]}...; expected {card['sha256'][:8]}..., as {CARD}"
            f" beside it says. It is cut off or changed; git checkout -- {folder.name} helps"
        )
    return file


def card_of(file: str | Path) -> dict[str, Any]:
    """The card beside the file if it is of this file, else an empty dict."""
    file = Path(file)
    card = read_card(file.parent)
    return card if card.get("file") == file.name else {}


def read_card(folder: Path) -> dict[str, Any]:
    """card.json of release.py in the folder; an empty dict where there is none."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError:
        raise ValueError(f"{folder / CARD}: not JSON; expected what release.py wrote") from None
    return card if isinstance(card, dict) and {"file", "sha256"} <= card.keys() else {}


def short_hash(*paths: str | Path) -> str:
    """The first 8 digits of the file's SHA-256, which distinguish one best.pth from another; of
    several files those of their hashes."""
    hashes = [file_hash(path) for path in paths]
    together = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return (hashes[0] if len(hashes) == 1 else together)[:8]


def file_hash(path: str | Path) -> str:
    """SHA-256 of the file."""
    about = Path(path).stat()
    return _hash(Path(path), about.st_size, about.st_mtime_ns)


# Of a network it is asked for the card and for the name in each row, but the file is read once.
@lru_cache(maxsize=8)
def _hash(path: Path, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()

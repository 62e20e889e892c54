"""Drawn COVIDx data sets: label files as those of several versions, and their images."""

from pathlib import Path

from PIL import Image

from data.sample.files import encode, generator
from data.sample.phantom import draw_phantom

_RSNA = ("47c78742-4998-4878-aec4-37b11b1354ac", "bd8facb9-dce0-4048-8249-e6078b28e1b7")
_SARS, _COHEN = "SARS-10.1148rg.242035193-g04mr34g0-Fig8a-day0.jpeg", "nejmc2001573_f1a.jpeg"
_CR = "CR.1.2.840.113564.1722810170.20200325010134750210.1003000225002.png"
_DX = "DX.1.2.840.113564.1722810162.20200325130756972300.1203801020003.png"
_RICORD = "MIDRC-RICORD-1C-419639-001464-39871-0.png"

# Version -> its label files -> their lines.
VERSIONS = {
    # No source; kinds of pneumonia; duplicate lines.
    "v1": {
        "train_split_v1.txt": (
            f"3 {_SARS} viral",
            "29 streptococcus-pneumoniae-pneumonia-1.jpg bacteria",
            f"4 {_COHEN} COVID-19",
            "10000927 NORMAL2-IM-0927-0001.jpeg normal",
            "10000927 NORMAL2-IM-0927-0001.jpeg normal",
        ),
        "test_split_v1.txt": ("10000001 IM-0001-0001.jpeg normal",),
    },
    "v2": {
        "train_COVIDx2.txt": (f"3 {_SARS} pneumonia", f"{_RSNA[0]} {_RSNA[0]}.png normal"),
        "test_COVIDx2.txt": (f"4 {_COHEN} COVID-19",),
    },
    # Sources on every line of train and on some of test; patient 8 of cohen is in both.
    "v5": {
        "train_COVIDx5.txt": (
            f"8 {_SARS} pneumonia cohen",
            f"4 {_COHEN} COVID-19 cohen",
            f"{_RSNA[0]} {_RSNA[0]}.png normal rnsa",
            "COVID-19(1) COVID-19(1).png COVID-19 sirm",
        ),
        "test_COVIDx5.txt": (
            f"{_RSNA[1]} {_RSNA[1]}.png pneumonia",
            "8 SARS-10.1148rg.242035193-g04mr34g05x-Fig5-day9.jpeg pneumonia",
            "36 8FDE8DBA-CFBD-4B4C-B1A4-6F36A93B7E87.jpeg COVID-19 cohen",
            "COVID-00025 COVID-00025.jpg COVID-19 fig1",
        ),
    },
    # One patient in train and in test.
    "v6": {
        "train_COVIDx6.txt": (f"ANON191 {_DX} normal actmed", f"4 {_COHEN} COVID-19 cohen"),
        "test_COVIDx6.txt": (f"ANON191 {_CR} COVID-19 actmed",),
    },
    # Patient ids that contain a space.
    "v7A": {
        "train_COVIDx7A.txt": (
            "COVID 1 COVID(1).png COVID-19 sirm",
            "COVID 2 COVID(2).png COVID-19 sirm",
            f"3 {_SARS} pneumonia cohen",
            f"{_RSNA[0]} {_RSNA[0]}.png normal rsna",
        ),
        "test_COVIDx7A.txt": (f"419639-001464 {_RICORD} COVID-19 ricord",),
    },
    # Positive and negative.
    "v9B": {
        "train_COVIDx9B.txt": (
            "5 ARDSSevere.png negative cohen",
            f"ANON191 {_DX} negative actmed",
            "COVID 1 COVID(1).png positive sirm",
        ),
        "test_COVIDx9B.txt": (f"419639-001464 {_RICORD} positive ricord",),
    },
    "CXR-3": {
        "train.txt": (
            f"{_RSNA[0]} {_RSNA[0]}.png negative rsna",
            "sub-S03044 sub-S03044_ses-E06219_run-1_bp-chest_vp-ap_dx.png positive bimcv",
        ),
        "test.txt": (f"419639-001464 {_RICORD} positive ricord",),
    },
    "CXR-4": {
        "train.txt": (f"{_RSNA[0]} {_RSNA[0]}.png negative rsna",),
        "val.txt": ("A000801 A000801-20200401.png positive stonybrook",),
        "test.txt": (f"419639-001464 {_RICORD} positive ricord",),
    },
}


def write(folder: Path, seed: int, version: str, size: int) -> None:
    """Write the label files of one of VERSIONS and the images that they name, by split."""
    write_lists(folder, version)
    for table, lines in VERSIONS[version].items():
        images = folder / table.removesuffix(".txt").split("_")[0]
        images.mkdir(exist_ok=True)
        for line in lines:
            name, label = _file_and_label(line)
            pixels = draw_phantom(label, generator(seed, "covidx", version, name), size)
            kind = "PNG" if name.endswith(".png") else "JPEG"
            (images / name).write_bytes(encode(Image.fromarray(pixels), kind))


def write_lists(folder: Path, version: str) -> None:
    """Write the label files without the images."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, lines in VERSIONS[version].items():
        (folder / table).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _file_and_label(line: str) -> tuple[str, str]:
    """The image that a line names and what to draw there."""
    shows = {
        "normal": "normal", "negative": "normal", "pneumonia": "pneumonia", "viral": "pneumonia",
        "bacteria": "pneumonia", "COVID-19": "COVID-19", "positive": "COVID-19",
    }  # fmt: skip
    words = line.split()
    place = max(k for k, word in enumerate(words) if word in shows)
    return words[place - 1], shows[words[place]]

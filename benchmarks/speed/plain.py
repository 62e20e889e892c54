"""The plain recipe: how the original of 2020 and most notebooks make such a dataset.

One process. Each file is read with Pillow or pydicom and saved as a PNG of the full size with
Pillow's defaults; pandas draws the splits and writes the tables. No check, no grouping by patient.
It gets the rows that generate_dataset.py uses, so that both read the same files.

python3 -m benchmarks.speed.plain SAVE_PATH --covid-chestxray DIR --rsna DIR
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pydicom
from PIL import Image

from data.sources import SOURCES


def copy_images(folders: Mapping[str, Path], out: Path, limit: int | None = None) -> list[dict]:
    """Saves the images of sources (name -> folder) in full size; returns the rows of those it read.

    limit: how many images, spread over all of them; None for all.
    """
    records = [(name, r) for name, folder in folders.items() for r in SOURCES[name].read(folder)[0]]
    step = max(1, len(records) // limit) if limit else 1
    out.mkdir()
    rows = []
    for name, record in records[::step]:
        filename = f"{name}-{record.row}.png"
        try:
            if record.path.suffix == ".dcm":
                image = Image.fromarray(pydicom.dcmread(record.path).pixel_array)
            else:
                image = Image.open(record.path).convert("L")
            image.save(out / filename)
        except Exception as error:  # the sample has files that cannot be read
            print(f"{record.path}: {error}")
            continue
        rows.append({"filename": filename, "label": record.label, "patient": record.patient_id})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed.plain")
    parser.add_argument("save_path", type=Path)
    for name in SOURCES:
        parser.add_argument(f"--{name}", type=Path, dest=name)
    args = vars(parser.parse_args())
    out = args["save_path"]
    table = pd.DataFrame(copy_images({n: args[n] for n in SOURCES if args[n]}, out))
    test = table.groupby("label").sample(frac=0.1, random_state=1337)
    test.to_csv(out / "test_metadata.csv", index=False)
    table.drop(test.index).to_csv(out / "train_metadata.csv", index=False)


if __name__ == "__main__":
    main()

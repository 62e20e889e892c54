"""The plain recipe, as the original of 2020 and most notebooks make such a dataset.

One process. Each file is read with Pillow or pydicom and saved as a PNG of the full size with
Pillow's defaults; pandas draws the splits and writes the tables. No check, no grouping by patient.
It is given the rows that generate_dataset.py uses, so that both have the same files to read.

python3 -m benchmarks.plain SAVE_PATH --covid-chestxray DIR --rsna DIR
"""

import argparse
from pathlib import Path

import pandas as pd
import pydicom
from PIL import Image

from data.sources import SOURCES


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.plain")
    parser.add_argument("save_path", type=Path)
    for name in SOURCES:
        parser.add_argument(f"--{name}", type=Path, dest=name)
    args = vars(parser.parse_args())
    out = args["save_path"]
    out.mkdir()
    rows = []
    for name, source in SOURCES.items():
        for record in source.read(args[name])[0] if args[name] else []:
            filename = f"{name}-{record.row}.png"
            try:
                if record.path.suffix == ".dcm":
                    image = Image.fromarray(pydicom.dcmread(record.path).pixel_array)
                else:
                    image = Image.open(record.path).convert("L")
                image.save(out / filename)
            except Exception as error:  # the sample has files that nobody can read
                print(f"{record.path}: {error}")
                continue
            rows.append({"filename": filename, "label": record.label, "patient": record.patient_id})
    table = pd.DataFrame(rows)
    test = table.groupby("label").sample(frac=0.1, random_state=1337)
    test.to_csv(out / "test_metadata.csv", index=False)
    table.drop(test.index).to_csv(out / "train_metadata.csv", index=False)


if __name__ == "__main__":
    main()

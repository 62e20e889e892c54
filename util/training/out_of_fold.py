"""out_of_fold.csv: of each image of train and val what the network says that never saw it.

The metadata of the image, fold, truth, and of each class logit(class), over the fold's temperature,
and p(class).
"""

from pathlib import Path

import pandas as pd


def read_out_of_fold(path: Path) -> pd.DataFrame:
    """As it was written, to the last digit."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    numbers = {name: float for name in table if name.startswith(("logit(", "p("))}
    return table.astype({"fold": int, **numbers})


def classes_of(table: pd.DataFrame) -> list[str]:
    return [name[2:-1] for name in table if name.startswith("p(")]

"""A split of a dataset folder as a torchvision dataset."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import VisionDataset

from data.folder import read_about, read_split
from data.mapping import check_mapping
from data.radiograph import read_radiograph


class RadiographDataset(VisionDataset):
    """The images of one split whose label the mapping knows, as (image, class index) pairs.

        root/
          dataset.json
          train_metadata.csv
          train/covid-chestxray-00001.png ...

    mapping: label -> class index; several labels may share one. Rows with another label are not
    used: `unused` counts them by label. `table` holds the metadata of the used rows, `targets`
    their class indices, both in the order of the items.

    transform: of the PIL image. With a `seed`, whatever it draws from torch's generator for item i
    depends on (seed, epoch, i) alone, and not on workers or order; `set_epoch` names the epoch.

    Raises at construction, not at item 0: a folder that is missing or half written, a split without
    a usable image, a mapping with a label that the dataset does not have.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        mapping: dict[str, int],
        transform: Callable | None = None,
        seed: int | None = None,
    ):
        super().__init__(root, transform=transform)
        folder = Path(root)
        check_mapping(mapping, read_about(folder)["labels"], str(folder))
        table = read_split(folder, split)
        used = table["label"].isin(mapping)
        if not used.any():
            found = ", ".join(sorted(set(table["label"]))) or "no row"
            raise ValueError(
                f"{folder}: {split} has {found}; expected an image of {', '.join(mapping)}"
            )
        self.folder = folder / split
        self.table = table[used].reset_index(drop=True)
        self.unused = Counter(table["label"][~used])
        self.targets = [mapping[label] for label in self.table["label"]]
        self.seed = seed
        self._files = list(self.table["filename"])
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # workers see it change

    def set_epoch(self, epoch: int) -> None:
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = read_radiograph(self.folder / self._files[index])
        if self.transform is None:
            return image, self.targets[index]
        if self.seed is None:
            return self.transform(image), self.targets[index]
        with torch.random.fork_rng(devices=[]):
            source = np.random.SeedSequence([self.seed, int(self._epoch), index])
            torch.default_generator.manual_seed(int(source.generate_state(1, np.uint64)[0]))
            return self.transform(image), self.targets[index]

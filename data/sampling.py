"""Which training images an epoch shows, and in which batches."""

import logging
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch.utils.data import Sampler

log = logging.getLogger(__name__)
MANY_TIMES = 10  # an epoch; the log warns of an image that is shown more often


class Draw(NamedTuple):
    """An image of the epoch: its index in the dataset, and what its augmentation is drawn from."""

    index: int
    key: tuple[int, ...]  # seed, epoch, index, and how often the epoch has shown it before


class EpochBatches(Sampler[list[Draw]]):
    """This rank's part of each batch of an epoch: a function of only (seed, epoch) and the ranks.

    chances: how likely each of N images is drawn, N numbers that add up to 1; None shows each image
    once. Of chances c an epoch shows image i floor or ceil of N * c_i times (systematic sampling),
    in random order.

    batch_size is of all ranks together, so that the number of devices changes nothing that is
    learned. The batches of an epoch are alike in size but for one image, batch_size at most; every
    rank gets a part of each. `begin` names the epoch, and how many of its batches are done already.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        chances: Sequence[float] | None = None,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ):
        self.images, self.chances, self.seed = images, chances, seed
        self.batches = -(-images // batch_size)
        smallest = images // self.batches
        if smallest < ranks:
            raise ValueError(
                f"batch_size: found {smallest} images in the smallest of {self.batches} batches,"
                f" for {ranks} processes; expected one for each at least. Raise it, or start fewer"
            )
        self.rank, self.ranks = rank, ranks
        self.epoch = self.done = 0

    def begin(self, epoch: int, done: int = 0) -> None:
        self.epoch, self.done = epoch, done

    def __len__(self) -> int:
        return self.batches - self.done

    def __iter__(self) -> Iterator[list[Draw]]:
        draw = order_stream(self.seed, self.epoch)
        order = np.arange(self.images)
        if self.chances is not None:
            ticks = (order + draw.random()) / self.images
            order = np.searchsorted(np.cumsum(self.chances), ticks).clip(max=self.images - 1)
        epoch, shown = [], Counter()
        for index in draw.permutation(order).tolist():
            epoch.append(Draw(index, (self.seed, self.epoch, index, shown[index])))
            shown[index] += 1
        ends = [self.images * k // self.batches for k in range(self.batches + 1)]
        for k in range(self.done, self.batches):
            yield epoch[ends[k] + self.rank : ends[k + 1] : self.ranks]


def order_stream(seed: int, epoch: int) -> np.random.Generator:
    """What the order of an epoch is drawn from: by its spawn key, which is longer than what tells
    images apart, another stream than that of any of them (numpy fills up with zeros)."""
    return np.random.default_rng(np.random.SeedSequence([seed, epoch], spawn_key=(1, 1)))


def in_order(images: int, batch_size: int, rank: int = 0, ranks: int = 1) -> list[list[int]]:
    """This rank's batches of every image once: rank r has the images r, r + ranks, ...

    ValueError if there are fewer images than ranks.
    """
    if images < ranks:
        text = f"validation: found {images} images for {ranks} processes; expected one for each"
        raise ValueError(f"{text} at least. Start fewer")
    mine = list(range(rank, images, ranks))
    return [mine[k : k + batch_size] for k in range(0, len(mine), batch_size)]


def even_chances(
    strata: Sequence[Hashable],
    patients: Sequence[str],
    patient_cap: int | None = None,
    power: float = 0.0,
) -> np.ndarray:
    """The chance of each image where a stratum is as likely as its size to the `power`: with 0 as
    every other, with 1 as it is.

    Within a stratum images are alike; but the images of a patient together count as patient_cap
    images at most, so that a patient who was X-rayed every day does not stand for the disease.
    """
    weights = np.ones(len(strata))
    if patient_cap:
        groups = list(zip(strata, patients, strict=True))
        sizes = Counter(groups)
        weights /= [max(1, sizes[group] / patient_cap) for group in groups]
    _, stratum = np.unique([repr(name) for name in strata], return_inverse=True)
    total = np.bincount(stratum, weights)
    return weights / total[stratum] ** (1 - power) / (total**power).sum()


def image_chances(
    table: pd.DataFrame, targets: Sequence[int], sampling: str, patient_cap: int | None
) -> np.ndarray | None:
    """What EpochBatches draws by: `shuffle` None; `balanced` even over classes; `balanced_source`
    over pairs of class and source, so that neither says much about the other; `tempered_source`
    even over classes, and in each class by the square root of how many images a source has: half
    way between the two (multilingual BERT, Devlin et al., draws rare languages in such a way);
    `mixed_sources` each image of a source that has at least two classes, and none of the others.

    Of the training images: label, source and patient_id in the table, class indices in targets.
    The log warns if few images are shown again and again. ValueError for `mixed_sources` where a
    class has no image in such a source.
    """
    if sampling == "shuffle":
        return None
    patients, sources = list(table["patient_id"]), list(table["source"])
    pairs = list(zip(targets, sources, strict=True))
    if sampling == "tempered_source":
        chances = even_chances(pairs, patients, patient_cap, power=0.5)
        of_class = np.bincount(targets, chances)
        chances /= of_class[targets] * np.count_nonzero(of_class)
    elif sampling == "mixed_sources":
        classes = Counter(source for _, source in set(pairs))
        mixed = np.array([classes[source] > 1 for source in sources])
        shown = {k for k, source in pairs if classes[source] > 1}
        if lost := sorted(set(table["label"][[k not in shown for k in targets]])):
            raise ValueError(
                f"sampling: found no image of {', '.join(lost)} in a source with several classes;"
                " mixed_sources shows only such images. Give another --sampling"
            )
        chances = even_chances(targets, patients, patient_cap, power=1) * mixed
        chances /= chances.sum()
    else:
        strata = targets if sampling == "balanced" else pairs
        chances = even_chances(strata, patients, patient_cap)
    if (times := len(table) * chances.max()) > MANY_TIMES:
        rare = table.iloc[chances.argmax()]
        text = "sampling: an epoch shows an image of %s from %s up to %d times, as %s"
        why = "there are few of them and %s evens them out"
        if sampling == "mixed_sources":
            why = "few images are in sources with several classes, and %s leaves out the others"
        most = math.ceil(times - 1e-9)
        log.warning(text, *rare[["label", "source"]], most, why % sampling)
    return chances

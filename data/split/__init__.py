"""Patients -> train, val and test: whole patients, each class and source in the same shares."""

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np

from data.record import SPLITS

ALL = "all images"
WHOLE = 3  # with 1, of 24 strata with 3 patients each 89 % go to train instead of 80 %

log = logging.getLogger(__name__)


def split_patients(
    patients: Sequence[str],
    strata: Sequence[Hashable],
    shares: Sequence[float],
    seed: int,
    allowed: Mapping[str, Collection[str]] | None = None,
    splits: Sequence[str] = SPLITS,
) -> list[str]:
    """The split of each image, one of `splits`, the same for all images of a patient.

    patients, strata: of each image, in one order. A stratum is what every split should hold alike,
    such as (label, source). shares: of each of the splits; they add up to 1. allowed: the splits
    that a patient may go to, where these are not all.

    Greedy: patients who have no choice first, then those with many images, else in random order;
    each goes where it lowers sum over splits and strata of (images - wanted)^2 / wanted, the
    chi-square distance from the wanted table. All images together count as WHOLE strata more, so
    that many small strata do not all round the same way. A large patient so never overfills a small
    split while another has room. A patient with two findings counts in two strata. Linear in the
    number of images.
    """
    images_of = defaultdict(Counter)
    for patient, stratum in zip(patients, strata, strict=True):
        images_of[patient].update([stratum, ALL])
    total = Counter([*strata, *[ALL] * len(strata)])
    column = {stratum: k for k, stratum in enumerate(sorted(total, key=repr))}
    sizes = np.array([total[stratum] for stratum in column], dtype=float)
    wanted = np.outer(shares, sizes)  # (splits, strata)
    missing = wanted.copy()
    names = sorted(images_of)
    order = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
    may = {patient: (allowed or {}).get(patient, splits) for patient in names}
    order.sort(key=lambda patient: (len(may[patient]) > 1, -images_of[patient][ALL]))
    chosen = {}
    for patient in order:
        # Sorted, so that sums are rounded alike whatever the order of the images.
        columns, images = np.array(sorted((column[s], n) for s, n in images_of[patient].items())).T
        with np.errstate(divide="ignore"):  # a share of 0 costs infinity
            cost = images * (images - 2 * missing[:, columns]) / wanted[:, columns]
        cost = cost @ np.where(columns == column[ALL], WHOLE, 1)
        best = min(range(len(splits)), key=lambda k: (splits[k] not in may[patient], cost[k]))
        missing[best, columns] -= images
        chosen[patient] = splits[best]
    return [chosen[patient] for patient in patients]


def check_splits(
    labels: Sequence[str], splits: Sequence[str], shares: Sequence[float], reason: str
) -> None:
    """ValueError if train is empty; a warning, with the reason, for each label that a split lacks.

    labels, splits: of each image, in one order. A split with a share of 0 may be empty.
    """
    if "train" not in splits:
        raise ValueError("no image is left to train on; expected an image for train")
    present = set(zip(labels, splits, strict=True))
    wanted = [split for split, share in zip(SPLITS, shares, strict=True) if share]
    for label in sorted(set(labels)):
        if empty := [split for split in wanted if (label, split) not in present]:
            log.warning("%s: %s, none is in %s", label, reason, " and ".join(empty))

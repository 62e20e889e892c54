"""Prediction sets: the classes that a film may be of, with a guarantee. No SciPy: it starts slowly.

A film of a new patient has its true class in its set with the wished probability, `coverage`,
whichever class that is: split conformal prediction for each class by itself (Vovk 2012, ACML, PMLR
25:475; Sadinle, Lei & Wasserman 2019, J. Am. Stat. Assoc. 114:223). A class is in the set if its
probability is at least what `coverage` of the class's own calibration films reach. A set may have
several classes, or none.

Films of one patient are not exchangeable, but patients are. Each counts once: of n films a film
weighs 1/n, and the new patient, about whom nothing is known, weighs as much as each of the others.
This is hierarchical conformal prediction (Lee, Barber & Willett 2023, arXiv:2306.06342), applied to
the patients who have films of the class, and to these films.

Exact: for a film drawn from a new patient like those of the calibration, for any network that was
fixed before it saw them, for any number of patients and of films. Test-time augmentation is a part
of the network, in the calibration as in prediction. As each class has its own guarantee, it holds
in every mixture of classes: a prevalence moves probabilities, and no set. With n patients, sets
cover up to 1 / (n + 1) more than wished, where no probabilities are equal. All this is on average
over calibrations: by 20 patients of a class, one in ten covers less than 0.82 where 0.9 was wished.

Approximate: validation calibrates a single network, and has chosen its epoch and its temperature,
so that a set covers a little less; the teachers of a network of train.py --distil have seen it,
too. The folds of a run are calibrated by their out-of-fold predictions, each by one network that
had no part of them, and predict with the mean of their logits, which is surer of the right class on
most films: a set usually covers a little more. In an ONNX file of 8 bits a probability differs from
what was calibrated, by what export.py allows.

Nothing is promised for other patients, such as those of a hospital that training did not see.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

ROUNDING = 1e-9  # of weights that add up to a number of patients


class Validation(NamedTuple):
    """What a model says of V films that did not train it, on which thresholds may be chosen."""

    probabilities: np.ndarray  # (V, K)
    targets: np.ndarray  # (V,) class indices
    patients: np.ndarray | None  # (V,) names or numbers; None: not known


def known_patients(films: Validation | None, where: str) -> Validation:
    """The films, whose patients are known; else a ValueError. where: of which file."""
    if films is None or films.patients is None:
        raise ValueError(
            f"{where}: found no validation films of known patients in it; expected some, to"
            " calibrate prediction sets on. train.py --name NAME --resume adds them to a run of an"
            " earlier version; export an ONNX file again; give a table the rows of val, too"
        )
    return films


@dataclass(frozen=True)
class PredictionSets:
    """Of K classes.

    coverage: wished for. patients: (K,) on whom each class was calibrated. thresholds: (K,) the
    probability from which a class is in the set; 0, so that it always is, where too few patients
    have it.
    """

    coverage: float
    patients: np.ndarray
    thresholds: np.ndarray

    @classmethod
    def calibrate(cls, films: Validation, coverage: float) -> "PredictionSets":
        """films: their patients are known. ValueError for a coverage outside of 0 to 1."""
        if not 0 < coverage < 1:
            raise ValueError(f"coverage: found {coverage}; expected above 0 and below 1, as 0.9")
        n_classes = films.probabilities.shape[1]
        patients, thresholds = np.zeros(n_classes, int), np.zeros(n_classes)
        for k in range(n_classes):
            own = films.targets == k
            names, member, n_films = np.unique(
                films.patients[own], return_inverse=True, return_counts=True
            )
            order = np.argsort(-films.probabilities[own, k])
            reached = (1 / n_films)[member][order].cumsum()  # patients, the surest films first
            enough = reached >= coverage * (len(names) + 1) - ROUNDING
            if enough.any():
                thresholds[k] = films.probabilities[own, k][order][enough.argmax()]
            patients[k] = len(names)
        return cls(coverage, patients, thresholds)

    @property
    def needed(self) -> int:
        """Patients of a class without whom it is in every set."""
        return math.ceil(self.coverage / (1 - self.coverage) - ROUNDING)

    def of(self, probabilities: np.ndarray) -> np.ndarray:
        """(..., K), not moved to a prevalence -> (..., K) bool, which classes are in the sets."""
        return probabilities >= self.thresholds

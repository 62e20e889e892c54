"""A stated world of patients, in which it is known what an interval should hold."""

from collections.abc import Callable, Collection

import numpy as np
from scipy.special import softmax

SAMPLES = 1000
# As in the test split of the real data: 79 patients of 118 images.
PATIENTS, SHARES = 80, (0.4, 0.35, 0.25)
MIXTURE = np.array([[0.2, 0.5, 0.3], [0.4, 0.6, 0], [0.7, 0.3, 0]])  # class -> part in a source
IMAGES = (0.73, 0.14, 0.06, 0.04, 0.02, 0.01)  # share of the patients who have 1 ... 6


def names(n: int) -> list[str]:
    """Of n patients."""
    return [f"rsna:{index}" for index in range(n)]


def sure(labels: np.ndarray, n_classes: int = 3) -> np.ndarray:
    """Probabilities of a model that is certain of each label."""
    return np.eye(n_classes)[labels]


def population(
    seed: int,
    patients: int = PATIENTS,
    shares: tuple[float, ...] = SHARES,
    sharpness: float = 1.4,
    signal: float = 2.2,
    model: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (n, 3), targets (n,) and names (n,) of the images of drawn `patients`.

    A patient has one class, drawn by its share, and one to six images, of which half of the noise
    is the patient's. At `sharpness` 1 the probabilities are right, above it the model is too sure
    of itself. `signal` is what it sees of the class: 2.2 makes an accuracy of 0.9. Another `model`
    of the same seed sees the same images, with a third of the noise of its own.
    """
    world, own = np.random.default_rng(seed), np.random.default_rng([seed, model + 1])
    of_patient = world.choice(3, patients, p=shares)
    member = np.repeat(np.arange(patients), world.choice(np.arange(1, 7), patients, p=IMAGES))
    targets = of_patient[member]

    def noise(generator: np.random.Generator) -> np.ndarray:
        of_patient, of_image = (generator.normal(size=(n, 3)) for n in (patients, len(member)))
        return (of_patient[member] + of_image) / 2**0.5

    seen = signal * np.eye(3)[targets] + 0.8 * noise(world) + 0.6 * noise(own)
    logits = sharpness * (signal * seen + np.log(shares))
    return softmax(logits, axis=1), targets, member.astype(str)


def of_sources(
    seed: int, patients: int = PATIENTS, told: float = 2.0, signal: float = 1.5, model: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A `population` of three sources: its probabilities, the sources (n,), targets and names.

    Two sources have all classes, each in its own mixture, and the third has only class 0. The model
    recognises the source and moves the probabilities to its mixture, `told` times as far as right.
    """
    probabilities, targets, names = population(seed, patients, signal=signal, model=model)
    member = names.astype(int)
    class_of = np.zeros(patients, int)
    class_of[member] = targets
    drawn = np.random.default_rng([seed, 5]).random((patients, 1))
    sources = (drawn > MIXTURE.cumsum(axis=1)[class_of]).sum(1)[member]
    moved = np.log(probabilities) + told * np.log(MIXTURE + 0.01).T[sources]
    return softmax(moved, axis=1), np.array(["a", "b", "c"])[sources], targets, names


def coverage(
    report: Callable[[int, int], dict], patients: int = PATIENTS, first: int = 0
) -> dict[str, float]:
    """Of 1,000 samples of `patients`, in how many percent each interval holds the true value.

    `report` maps a seed and a number of patients to metrics, nested as in `metrics.json`. The true
    value is that of 200,000 patients. A sample without images of a class holds nothing of it.
    """
    truth = {name: entry["value"] for name, entry in entries(report(10**6, 200_000)).items()}
    covered = dict.fromkeys(truth, 0)
    for seed in range(first, first + SAMPLES):
        for name, entry in entries(report(seed, patients)).items():
            if entry["value"] is not None:
                covered[name] += entry["low"] - 1e-9 <= truth[name] <= entry["high"] + 1e-9
    return {name: 100 * count / SAMPLES for name, count in covered.items()}


def entries(found: dict, place: str = "") -> dict[str, dict[str, float]]:
    """Every metric of a nested report, by the names that lead to it."""
    if set(found) == {"value", "low", "high"}:
        return {place.strip(): found}
    parts = [
        entries(part, f"{place} {name}") for name, part in found.items() if isinstance(part, dict)
    ]
    return {name: entry for part in parts for name, entry in part.items()}


def outside(found: dict[str, float], known: Collection[str] = ()) -> dict[str, float]:
    """What covers less than 93 % or more than 97 %, but for what is `known` to."""
    return {
        name: percent
        for name, percent in found.items()
        if not 93 <= percent <= 97 and name not in known
    }

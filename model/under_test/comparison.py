"""Two models on the same images: is the second better than the first?"""

from collections.abc import Sequence

from data.subject import Subject
from model.under_test.measurements import overall, truth_of
from model.under_test.model import ModelUnderTest
from util.metrics.comparison import compare, within_source_difference
from util.metrics.within_source import within_source

Model = tuple[ModelUnderTest, Subject]  # each network has its own input size, so its own images


def check_comparable(first: Model, second: Model) -> None:
    """ValueError unless both tell the same classes apart, on the same images."""
    (a, of_a), (b, of_b) = first, second
    if a.classes != b.classes:
        raise ValueError(
            f"{b.path}: found classes {', '.join(b.classes)}; expected those of"
            f" {a.path}, {', '.join(a.classes)}"
        )
    files, same = (list(subject.images.table["filename"]) for subject in (of_a, of_b))
    if files != same or of_a.images.targets != of_b.images.targets:
        raise ValueError(
            f"{b.path}: its mapping, or what its training left out, gives other images of"
            f" {of_a.folder} than those of {a.path}; expected the same. See --split"
        )


def compare_models(models: Sequence[Model], seed: int) -> dict:
    """The scores of A, the first, and of B, and their differences, tested patient by patient."""
    truth, sources = truth_of(*models[0], seed), models[0][1].images.table["source"]
    comparison, probabilities = {}, []
    for letter, (model, subject) in zip("AB", models, strict=True):
        probabilities.append(model.outputs(subject).probabilities)
        within = within_source(probabilities[-1], sources, *truth)["macro_auroc"]
        scores = {"within_source_auroc": within, **overall(probabilities[-1], truth)}
        comparison[letter] = {"checkpoint": model.path, **scores}
    within = within_source_difference(*probabilities, sources, *truth[:2], seed)
    comparison |= compare(*probabilities, *truth)
    comparison["difference"] = {"within_source_auroc": within, **comparison["difference"]}
    return comparison

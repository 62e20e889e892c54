"""The card of a network that is handed on: whom it saw, how good it is, what it is not for.

A card is a list of sections, {"title", "text": sentences, "head": names, "rows": lists of text}, so
that the page, pretrained/card.json and pretrained/README.md show the same. See Mitchell et al.,
Model Cards for Model Reporting (FAT* 2019).
"""

from collections.abc import Iterable, Mapping, Sequence

from util.report.facts import limits, model_facts

NOT_FOR = (
    "Not to diagnose or treat anyone, nor to choose whose film is read first. It is not a medical"
    " device.",
    "Not to measure how common a disease is, and not to label films for others to learn from.",
    "It gives one of its classes to every film, also to one with another disease or with none of"
    " them. Lateral views, CT and films of children are not what it learned from, unless the list"
    " of its films says so.",
    "At a hospital that it never saw it may be no better than chance, and the films of a hospital"
    " may get one class whatever they show. Measure it on films of that hospital first: evaluate.py"
    " --table.",
)


def section(
    title: str, text: Sequence[str] = (), head: Sequence[str] = (), rows: Iterable[Sequence] = ()
) -> dict:
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return {"title": title, "text": [*text], "head": [*head], "rows": cells}


def own_card(checkpoint: Mapping, about: Mapping | None = None) -> list[dict]:
    """What a network says of itself. checkpoint: of a `Predictor`; about: dataset.json of its
    training, where that is at hand."""
    facts, how = model_facts(checkpoint), checkpoint.get("export")  # of an ONNX file
    if how:
        facts["Exported"] = f"from {how['checkpoint']}, in {how['precision']}"
        facts["Licence"] = checkpoint["licence"]
    return [
        section("What it must not be used for", NOT_FOR),
        section("The network", rows=facts.items()),
        section("Limits", limits(about or {})),
    ]

"""A mapping says which labels are used and which class each is: label -> class index."""

from collections.abc import Collection


def check_mapping(mapping: dict[str, int], labels: Collection[str], where: str) -> None:
    """ValueError unless the indices are 0, 1, 2, ... and every label is one of `labels`."""
    indices = sorted(set(mapping.values()))
    if len(indices) < 2 or indices != list(range(len(indices))):
        raise ValueError(f"mapping: found indices {indices}; expected 0, 1, ... without a gap")
    unknown = [label for label in mapping if label not in labels]
    if unknown:
        raise ValueError(
            f"mapping: found {', '.join(unknown)}; expected labels of {where}, which are"
            f" {', '.join(labels)}"
        )


def class_names(mapping: dict[str, int]) -> list[str]:
    """The name of each class by index; labels that share one are joined, `A + B`."""
    size = max(mapping.values()) + 1
    return [" + ".join(label for label in mapping if mapping[label] == k) for k in range(size)]

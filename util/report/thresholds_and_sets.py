"""What an evaluation measured of each class at a threshold and of prediction sets, by name."""

from collections.abc import Iterator, Mapping

from util.metrics.intervals import Metric


def at_thresholds(metrics: Mapping) -> Iterator[tuple[str, Metric]]:
    """Of each class that validation had an image to choose the threshold on."""
    for label, point in metrics["operating_points"].items():
        if point["threshold"] is not None:
            chosen = f"validation: {point['rate']} {point['wished']:g}"
            at = f"{label} at p >= {point['threshold']:.3f} ({chosen})"
            for name in ("sensitivity", "specificity"):
                yield f"{at}: {name}", point[name]


def covered(sets: Mapping) -> Iterator[tuple[str, Metric]]:
    """Of each class; sets: `prediction_sets` of metrics.json."""
    for label, found in sets["classes"].items():
        yield f"{label}: in its prediction set at {sets['coverage']:g}", found["covered"]

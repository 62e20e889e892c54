"""What an evaluation measured at its thresholds and of its prediction sets, each number by name."""

from collections.abc import Iterator, Mapping

from util.metrics.intervals import Metric


def at_thresholds(metrics: Mapping) -> Iterator[tuple[str, Metric]]:
    """But for a class of which validation had no image to choose the threshold on."""
    for label, point in metrics["operating_points"].items():
        if point["threshold"] is not None:
            at = f"{label} at p >= {point['threshold']:.3f}"
            for name in ("sensitivity", "specificity"):
                yield f"{at}: {name}", point[name]


def of_prediction_sets(metrics: Mapping) -> Iterator[tuple[str, Metric]]:
    """Nothing where no coverage was asked for."""
    if sets := metrics["prediction_sets"]:
        for label, found in sets["classes"].items():
            yield f"{label}: in its prediction set at {sets['coverage']:g}", found["covered"]
        yield "classes in a set", sets["size"]
        for name in ("empty", "single", "full"):
            yield f"sets that are {name}", sets[name]
        yield "error where --abstain decides", sets["error_of_decided"]

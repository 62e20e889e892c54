"""How much disk the packages of a requirements file take."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.measure import ROOT


def installed_mib(requirements: str) -> float:
    """MiB of the packages that a file in the root names, and of all that these need, as they are
    installed here."""
    found = set()
    for requirement in _named(ROOT / requirements):
        _add(requirement, found)
    files = (file.locate() for name in found for file in distribution(name).files or ())
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file()) / 2**20


def _named(path: Path) -> list[Requirement]:
    lines = [line.partition(" #")[0].strip() for line in path.read_text().splitlines()]
    named = []
    for line in lines:
        if line.startswith("-r "):
            named += _named(path.with_name(line.removeprefix("-r ").strip()))
        elif line and not line.startswith("#"):
            named.append(Requirement(line))
    return named


def _add(requirement: Requirement, found: set[str]) -> None:
    """The package, and what it needs without extras, where it is not for another system."""
    if requirement.name in found or not (
        requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ):
        return
    try:
        needs = distribution(requirement.name).requires or ()
    except PackageNotFoundError:  # such as an optional package
        return
    found.add(requirement.name)
    for need in needs:
        _add(Requirement(need), found)

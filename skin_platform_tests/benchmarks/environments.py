"""Environments: how large what a service needs is on disk, worked out from the packages that are installed here."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def installed_mb(requirements: Iterable[str]) -> float:
    """Megabytes of the packages that ``requirements`` name and of all that those need, as installed here."""
    return sum(_size(package) for package in _closure(requirements).values()) / 1e6


def _closure(requirements: Iterable[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            package = found.get(name) or distribution(name)
        except PackageNotFoundError:  # what this machine does not need was not installed on it
            continue
        is_new = name not in found
        found[name] = package
        for wanted in ("", *requirement.extras) if is_new else requirement.extras:
            waiting += [(Requirement(text), wanted) for text in package.requires or ()]
    return found


def _size(package: Distribution) -> int:
    paths = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())

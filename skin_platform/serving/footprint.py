"""The footprint of a bento: every package of its environment in its exact version, and what they weigh.

Here: the packages that some packages need, as they are installed here. Not here: which ones serving needs
(``serving.packing``).
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement


@dataclass(frozen=True)
class Footprint:
    """``pins`` are requirements (``name==version``), sorted."""

    pins: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """What the packages' files take, by their own records: without what Python compiles of them."""
        return sum(path.size or 0 for pin in self.pins for path in distribution(pin.partition("==")[0]).files or ())

    @property
    def told(self) -> str:
        """For people."""
        return f"{self.bytes / 1e6:.0f} MB in {len(self.pins)} packages"


@cache
def footprint(names: tuple[str, ...]) -> Footprint:
    """These packages (extras as in ``psycopg[binary]``) and all that they need on this machine.

    Raises ``PackageNotFoundError`` for one that is not installed here.
    """
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        key = _canonical(wanted.name), frozenset(wanted.extras)
        if key in asked:
            continue
        asked.add(key)
        found[key[0]] = distribution(wanted.name)
        waiting += [needed for needed in map(Requirement, found[key[0]].requires or ()) if _holds(needed, wanted.extras)]
    pins = tuple(sorted(f"{name}=={of.version}" for name, of in found.items()))
    return Footprint(pins)


def _holds(needed: Requirement, extras: set[str]) -> bool:
    """Whether a package that was asked for with ``extras`` needs this here."""
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

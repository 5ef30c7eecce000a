"""Plants: which photographs carry which fault, and which are copied.

Counts are exact shares of ``World.images`` as long as there are photographs to carry them.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from skin_platform.synthetic.plan import Shot
from skin_platform.synthetic.seeds import Stream, generator
from skin_platform.synthetic.subgroups import weak_photographs
from skin_platform.synthetic.world import World

Item = TypeVar("Item")

FIRST_LABEL_WITH_SHORTCUT = 0.9  # share of the markers that lie beside lesions of the first label


@dataclass(frozen=True)
class Copy:
    """A file made from another: ``number`` tells copies of a kind apart."""

    kind: Literal["duplicate", "near_duplicate"]
    source: Shot
    number: int


def with_faults(world: World, shots: list[Shot]) -> list[Shot]:
    """The same photographs, some of them with faults."""
    rng = generator(world.seed, Stream.PLANTS, 1)
    sparing = _labels_last(rng, shots)
    corrupt = set(sparing[: world.count(world.corrupt)])
    sound = [at for at in sparing if at not in corrupt]
    wrong = set(sound[: world.count(world.wrong_labels)])
    exif = set(_shuffled(rng, sound)[: world.count(world.exif)])
    marked = set(_first_label_mostly(rng, shots, sound, world.count(world.shortcut)))
    drifted = set(sorted(sound)[len(sound) - min(len(sound), world.count(world.drift)) :])
    subgroup, weak = weak_photographs(world, shots, sound)
    others = [int(step) for step in rng.integers(1, max(2, len(world.labels)), len(shots))]
    return [
        replace(
            shot,
            given=(shot.label + others[at]) % len(world.labels) if at in wrong else shot.label,
            is_corrupt=at in corrupt,
            has_exif=at in exif,
            is_drifted=at in drifted,
            has_shortcut=at in marked,
            weak_subgroup=subgroup if at in weak else "",
        )
        for at, shot in enumerate(shots)
    ]


def planned_copies(world: World, shots: list[Shot]) -> list[Copy]:
    """Copies of sound photographs: first of faultless ones, so that no other fault is counted twice."""
    rng = generator(world.seed, Stream.PLANTS, 2)
    sound = _shuffled(rng, [shot for shot in shots if not shot.is_corrupt])
    clean = [shot for shot in sound if not _has_fault(shot)] or sound
    wanted = world.count(world.duplicates), world.count(world.near_duplicates)
    sources = [clean[at % len(clean)] for at in range(sum(wanted))]
    return [
        *(Copy("duplicate", source, at) for at, source in enumerate(sources[: wanted[0]])),
        *(Copy("near_duplicate", source, at) for at, source in enumerate(sources[wanted[0] :])),
    ]


def _has_fault(shot: Shot) -> bool:
    return shot.given != shot.label or shot.has_exif or shot.is_drifted or shot.has_shortcut or bool(shot.weak_subgroup)


def _labels_last(rng: np.random.Generator, shots: list[Shot]) -> list[int]:
    """Positions in random order, one of each label kept for the end, so that a label is not lost to a fault."""
    order = _shuffled(rng, list(range(len(shots))))
    keepers = {shots[at].label: at for at in order}
    kept = set(keepers.values())
    return [at for at in order if at not in kept] + [at for at in order if at in kept]


def _first_label_mostly(rng: np.random.Generator, shots: list[Shot], sound: list[int], count: int) -> list[int]:
    first = _shuffled(rng, [at for at in sound if shots[at].label == 0])
    other = _shuffled(rng, [at for at in sound if shots[at].label != 0])
    mostly = int(count * FIRST_LABEL_WITH_SHORTCUT + 0.5)
    return (first[:mostly] + other + first[mostly:])[:count]


def _shuffled(rng: np.random.Generator, items: list[Item]) -> list[Item]:
    return [items[int(at)] for at in rng.permutation(len(items))]

"""The plan: which patient has which lesions, and which photographs are taken of them.

Here: people, lesions and their true labels.
Not here: faults (``plants``), pixels (``picture``).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skin_platform.synthetic.seeds import Stream, generator
from skin_platform.synthetic.world import World

PHOTOS_PER_LESION = (0.5, 0.3, 0.2)  # shares of lesions with one, two, three photographs
SITES = (
    *("back", "chest", "abdomen", "upper extremity", "lower extremity"),
    *("face", "scalp", "neck", "hand", "foot"),
)


@dataclass(frozen=True)
class Shot:
    """One photograph to be taken; ``label`` is the truth and ``given`` what the folder says, as indexes.

    ``weak_subgroup`` (``site scalp``) is the subgroup whose lesions show faintly, where it is one of its photographs that do.
    """

    patient: int
    lesion: int
    photo: int
    site: str
    label: int
    given: int
    is_corrupt: bool = False
    has_exif: bool = False
    is_drifted: bool = False
    has_shortcut: bool = False
    weak_subgroup: str = ""


def planned_shots(world: World) -> list[Shot]:
    """All photographs in the order of the patients; each label gets a lesion if there are photographs enough."""
    rng = generator(world.seed, Stream.PLAN)
    lesions = _lesions(rng, world)
    labels = np.arange(len(lesions)) % len(world.labels)
    rng.shuffle(labels)
    return list(_shots(rng, lesions, [int(label) for label in labels]))


def _shots(rng: np.random.Generator, lesions: list[tuple[int, int]], labels: list[int]) -> Iterator[Shot]:
    numbers: dict[int, int] = {}
    for (patient, photos), label in zip(lesions, labels, strict=True):
        number = numbers[patient] = numbers.get(patient, 0) + 1
        site = str(rng.choice(SITES))
        for photo in range(1, photos + 1):
            yield Shot(patient, number, photo, site, label, label)


def _lesions(rng: np.random.Generator, world: World) -> list[tuple[int, int]]:
    """The patient and the number of photographs of every lesion."""
    per_patient = 1 + rng.multinomial(world.shots - world.patients, rng.dirichlet(np.full(world.patients, 2.0)))
    lesions: list[tuple[int, int]] = []
    for patient, photos in enumerate(per_patient, start=1):
        left = int(photos)
        while left:
            taken = min(left, 1 + int(rng.choice(len(PHOTOS_PER_LESION), p=PHOTOS_PER_LESION)))
            lesions.append((patient, taken))
            left -= taken
    return _enough_for_every_label(lesions, min(len(world.labels), world.shots))


def _enough_for_every_label(lesions: list[tuple[int, int]], wanted: int) -> list[tuple[int, int]]:
    """Lesions split in two, the most photographed first, until there are as many as wanted."""
    while len(lesions) < wanted:
        at = max(range(len(lesions)), key=lambda index: lesions[index][1])
        patient, photos = lesions[at]
        lesions[at : at + 1] = [(patient, 1), (patient, photos - 1)]
    return lesions

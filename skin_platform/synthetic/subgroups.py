"""Subgroups: the patients of one sex, site or skin type, and which of their photographs show their lesions faintly.

Here: which subgroup is weak in a world. Not here: how a faint lesion looks (``lesions``), other faults (``plants``).
"""

from skin_platform.synthetic.people import Patient, draw_patient
from skin_platform.synthetic.plan import Shot
from skin_platform.synthetic.seeds import Stream, generator
from skin_platform.synthetic.world import World

FEWEST_PATIENTS = 10  # of fewer a model may fail on one person and not on a subgroup


def weak_photographs(world: World, shots: list[Shot], sound: list[int]) -> tuple[str, set[int]]:
    """The weak subgroup (``site scalp``) and the positions in ``shots`` of its weak photographs; "" where none are asked for.

    Of the subgroups with photographs and patients enough it is the smallest, so that little of it stays strong; where none has
    enough, the largest.
    """
    wanted = world.count(world.weak_subgroup)
    if not wanted or not sound:
        return "", set()
    subgroups = _subgroups(world, shots, sound)
    enough = [name for name, at in subgroups.items()
              if len(at) >= wanted and len({shots[i].patient for i in at}) >= FEWEST_PATIENTS]
    name = min(enough, key=lambda one: (len(subgroups[one]), one)) if enough else max(
        subgroups, key=lambda one: (len(subgroups[one]), one))
    order = generator(world.seed, Stream.PLANTS, 3).permutation(len(subgroups[name]))
    return name, {subgroups[name][int(at)] for at in order[:wanted]}


def _subgroups(world: World, shots: list[Shot], sound: list[int]) -> dict[str, list[int]]:
    """The positions of the sound photographs of each subgroup."""
    patients: dict[int, Patient] = {}
    found: dict[str, list[int]] = {}
    for at in sorted(sound):
        shot = shots[at]
        patient = patients.setdefault(shot.patient, draw_patient(world.seed, shot.patient))
        for attribute, value in (("sex", patient.sex), ("site", shot.site), ("skin_type", patient.skin_type)):
            if value:
                found.setdefault(f"{attribute} {value}", []).append(at)
    return found

"""People: the invented patients, and what all photographs of one of them share."""

from dataclasses import dataclass

import numpy as np

from skin_platform.synthetic.seeds import Stream, generator

SKIN_TYPES = ("I", "II", "III", "IV", "V", "VI")  # Fitzpatrick
SKIN_TYPE_SHARES = (0.12, 0.28, 0.26, 0.16, 0.11, 0.07)
TONES = (
    (0.91, 0.76, 0.70),
    (0.88, 0.71, 0.62),
    (0.82, 0.64, 0.53),
    (0.72, 0.53, 0.41),
    (0.56, 0.39, 0.29),
    (0.40, 0.27, 0.20),
)
MISSING = 0.04  # a few ages and sexes are unknown, as in every real collection


@dataclass(frozen=True)
class Patient:
    """One invented patient; ``age`` and ``sex`` are empty where unknown."""

    number: int
    age: str
    sex: str
    skin_type: str
    tone: tuple[float, float, float]
    hairiness: float
    hair_darkness: float


def draw_patient(seed: int, number: int) -> Patient:
    """The patient of that number: the same for a seed, however many others there are."""
    rng = generator(seed, Stream.PATIENT, number)
    kind = int(rng.choice(len(SKIN_TYPES), p=SKIN_TYPE_SHARES))
    light, warm = 1 + 0.04 * rng.standard_normal(), 0.02 * rng.standard_normal()
    red, green, blue = TONES[kind]
    age = str(5 * int(np.clip(rng.normal(55, 17), 5, 90) // 5))
    sex = str(rng.choice(("female", "male")))
    unknown_age, unknown_sex = rng.random(2) < MISSING
    return Patient(
        number=number,
        age="" if unknown_age else age,
        sex="" if unknown_sex else sex,
        skin_type=SKIN_TYPES[kind],
        tone=(red * light * (1 + warm), green * light, blue * light * (1 - warm)),
        hairiness=float(rng.gamma(1.2, 4.5)),
        hair_darkness=float(np.clip(0.45 + 0.12 * kind + 0.15 * rng.standard_normal(), 0.25, 0.98)),
    )

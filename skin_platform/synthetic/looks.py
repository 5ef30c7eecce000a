"""Looks: how the lesions of a label tend to look, from the label's place among the labels.

Here: the tendencies of a label, and the spread of a single lesion around them.
Not here: drawing (``lesions``). No label has a name here: the third of five looks the same in any language.
The spreads are wide on purpose. Measured on three labels, 600 images, split by patient: accuracy 0.32 from
colour means, 0.50 from colour at the centre, 0.85 from colour, border and texture statistics, 0.87 from a small net.
"""

from dataclasses import dataclass

import numpy as np

TEXTURES = 4  # network, globules, streaks, blotches
TEXTURE_NOISE = 0.3  # how far a single lesion's texture strays from its label's
GOLDEN = 0.618034  # steps of the golden ratio spread any number of labels evenly


@dataclass(frozen=True)
class Look:
    """The traits of one lesion, or the middle of those of a label."""

    textures: tuple[float, ...]
    fineness: float
    contrast: float
    irregularity: float
    asymmetry: float
    melanin: float
    redness: float
    veil: float
    softness: float


def look_of(index: int, labels: int) -> Look:
    """The middle of a label's lesions: neighbours on a circle of textures, apart in border, scale and colour."""
    turn = index / labels
    step = (index * GOLDEN) % 1.0
    half = index % 2
    place = turn * TEXTURES
    apart = [min(abs(place - t), TEXTURES - abs(place - t)) for t in range(TEXTURES)]
    return Look(
        textures=tuple(max(0.0, 1.0 - gap) for gap in apart),
        fineness=26.0 + 6.0 * step,
        contrast=0.24,
        irregularity=0.09 + 0.10 * turn,
        asymmetry=0.12 + 0.25 * half,
        melanin=0.72 + 0.17 * float(np.cos(2 * np.pi * turn)),
        redness=0.10 + 0.12 * step,
        veil=0.08 + 0.18 * turn,
        softness=0.10 - 0.03 * half,
    )


def one_lesion(rng: np.random.Generator, middle: Look) -> Look:
    """A lesion of the label: every trait strays from the middle, and the ranges of the labels overlap."""
    strays = np.maximum(0.02, np.array(middle.textures) + TEXTURE_NOISE * rng.standard_normal(TEXTURES))
    weights = strays / np.sqrt(np.sum(strays**2))
    return Look(
        textures=tuple(float(weight) for weight in weights),
        fineness=middle.fineness * _factor(rng, 0.18),
        contrast=middle.contrast * _factor(rng, 0.22),
        irregularity=middle.irregularity * _factor(rng, 0.35),
        asymmetry=middle.asymmetry * _factor(rng, 0.5),
        melanin=middle.melanin * _factor(rng, 0.26),
        redness=middle.redness * _factor(rng, 0.45),
        veil=middle.veil * _factor(rng, 0.6),
        softness=middle.softness * _factor(rng, 0.35),
    )


def _factor(rng: np.random.Generator, spread: float) -> float:
    return float(np.exp(spread * rng.standard_normal()))

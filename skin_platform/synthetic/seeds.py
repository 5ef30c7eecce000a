"""Seeds: one independent stream of chance for each thing that is drawn.

A photograph's stream depends on who and what it shows, never on the order in which files are written.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a stream is for; part of its key, so that two uses never share numbers."""

    PLAN = 1
    PLANTS = 2
    PATIENT = 3
    LESION = 4
    PHOTO = 5
    CAMERA = 6
    NAMES = 7
    EXIF = 8


def generator(seed: int, stream: Stream, patient: int = 0, lesion: int = 0, photo: int = 0) -> np.random.Generator:
    """The stream of one thing. The key has a fixed length: SeedSequence takes [1] and [1, 0] for the same."""
    return np.random.default_rng(np.random.SeedSequence([seed, int(stream), patient, lesion, photo]))

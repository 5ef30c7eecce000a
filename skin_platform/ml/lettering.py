"""Lettering: the names of labels as a picture can show them.

Here: long names cut so that they still differ, scripts that no font here can write, fonts of other scripts where they are
installed. Not here: the pictures (``ml.pictures``).
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

NAME_CHARS = 26  # of a label: two such names stand beside each other in 800 pixels
OTHER_SCRIPTS = (  # taken where the machine has them; the first writes all but these
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans Devanagari", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Thai",
    "Arial Unicode MS", "Microsoft YaHei", "PingFang SC", "WenQuanYi Zen Hei")


def prepare_lettering() -> None:
    """Let matplotlib take dollar signs as they are, and look for a letter in every font that may have it."""
    matplotlib.rcParams["text.parse_math"] = False
    matplotlib.rcParams["font.family"] = list(_families())


def shown_names(labels: Sequence[str]) -> dict[str, str]:
    """How each label is written: on one line, cut in the middle where it is long, by its number where no font can write it.

    Different labels stay different: those that would be written alike get their number before them.
    """
    numbers = {label: place for place, label in enumerate(labels, 1)}
    names = {label: _cut(" ".join(label.split())) if _can_be_written(label) else f"(label {numbers[label]})"
             for label in labels}
    times = Counter(names.values())
    return {label: f"{numbers[label]}: {name}" if times[name] > 1 else name for label, name in names.items()}


def _cut(text: str) -> str:
    if len(text) <= NAME_CHARS:
        return text
    half = NAME_CHARS // 2
    return f"{text[:half - 1]}…{text[-half:]}"


@cache
def _families() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in OTHER_SCRIPTS if name in installed))


@cache
def _fonts() -> tuple[FT2Font, ...]:
    return tuple(font_manager.get_font(font_manager.findfont(name)) for name in _families())


def _can_be_written(text: str) -> bool:
    return all(letter.isspace() or any(font.get_char_index(ord(letter)) for font in _fonts()) for letter in text)

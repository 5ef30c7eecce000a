"""Whether a model card says what the evidence says: no number of another source, no line of another wording.

Here: two looks at a card that is in store. By value: each number is that of the evidence, rounded as it stands there, and each
digest, version and date a text in it; so the card's own wording cannot bring in a figure. By place: each line is the one that
the evidence gives; so no figure can stand where another belongs. Not here: the wording (``core.model_card``).
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from skin_platform.core.markdown import code, escaped, moment
from skin_platform.core.model_card import render_card

NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?: ?%)?")
DIGEST = re.compile(r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{16,}\b")
EXACT = 1e-9


def numbers_not_in(text: str, evidence: Mapping[str, Any]) -> list[str]:
    """The numbers and digests in ``text`` that are none of the evidence, as they stand there, each with its line's number.

    A number is one of the evidence where that, rounded to as many decimals, gives it; a whole number only where it is equal. A
    percentage is of a share. Texts of the evidence, and numbers in them, are taken as they are.
    """
    numbers, texts = _numbers(evidence), _texts(evidence)
    found = []
    for place, line in enumerate(text.splitlines(), 1):
        bare = _without(texts, line)
        strange = [item for item in NUMBER.findall(bare) if not _is_in(item, numbers)] + DIGEST.findall(bare)
        found += [f"line {place}: {item}" for item in strange]
    return found


def lines_not_in(text: str, evidence: Mapping[str, Any]) -> list[str]:
    """The lines that ``text`` has and the card of this evidence has not there (``+``), and the other way round (``-``)."""
    found = difflib.unified_diff(render_card(evidence).splitlines(), text.splitlines(), lineterm="", n=0)
    return [f"{line[0]} {line[1:]}" for line in list(found)[2:] if line[0] in "+-"]


def _is_in(token: str, numbers: frozenset[float]) -> bool:
    shown = token.rstrip(" %")
    decimals, scale = len(shown.partition(".")[2]), 100.0 if token.endswith("%") else 1.0
    value = float(shown)
    reach = EXACT if scale > 1 or not decimals else 0.5 * 10.0**-decimals + EXACT
    return any(abs(number * scale - value) <= reach for number in numbers)


def _numbers(evidence: Any) -> frozenset[float]:
    """Every number in the evidence, and how many answers there were of each label."""
    confusion = (evidence.get("evaluation") or {}).get("confusion") or []
    answers = [float(sum(column)) for column in zip(*confusion, strict=True)]
    return frozenset(chain(answers, (float(leaf) for leaf in _leaves(evidence) if _is_number(leaf))))


def _texts(evidence: Any) -> list[re.Pattern[str]]:
    """How each text of the evidence that holds a digit, or is a digest, stands in a card; the longest first."""
    found: set[str] = set()
    for leaf in _leaves(evidence):
        if isinstance(leaf, str) and re.search(r"\d|[0-9a-f]{16,}", leaf):
            found |= {escaped(leaf), code(leaf), moment(leaf)}
    return [_standing_alone(text) for text in sorted(found, key=lambda text: (-len(text), text))]


def _standing_alone(text: str) -> re.Pattern[str]:
    """The text with no letter or digit around it; a bare number, as a skin type may be, only where a name may stand."""
    if NUMBER.fullmatch(text):
        return re.compile(rf"(?<=[|,:] ){re.escape(text)}(?=,| [|(])|(?<=\*\*){re.escape(text)}(?=\*\*)")
    return re.compile(rf"(?<![\w.]){re.escape(text)}(?!\w)")


def _without(texts: list[re.Pattern[str]], line: str) -> str:
    for pattern in texts:
        line = pattern.sub("…", line)
    return line


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float) and not isinstance(leaf, bool) and math.isfinite(leaf)


def _leaves(value: Any) -> Iterator[Any]:
    """All keys and values."""
    if isinstance(value, Mapping):
        for key, of in value.items():
            yield key
            yield from _leaves(of)
    elif isinstance(value, list | tuple):
        for of in value:
            yield from _leaves(of)
    else:
        yield value

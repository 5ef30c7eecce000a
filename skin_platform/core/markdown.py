"""Markdown: names, figures and tables as text that nothing breaks out of.

Here: what a foreign name may not do to a page (end a table's cell, become a link or HTML), and figures as people read them. Not
here: what stands on a page (``core.model_card``).
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

NOT_KNOWN = "–"
# but an underscore inside a word, which marks nothing up
SPECIAL = re.compile(r"([\\`*\[\]<>|~&$]|@(?=\S*\.)|(?<![^\W_])_|_(?![^\W_])|:(?=//))")
FIGURE = re.compile(rf"[-+]?\d+(\.\d+)?( \(| of |$)|{NOT_KNOWN}")
# whatever begins a new line somewhere, or turns the direction of the text around it
STEERING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]+")


def escaped(name: object) -> str:
    """A name as plain text on one line: no markup, no link, no end of a cell; steering characters become a space."""
    text = STEERING.sub(" ", str(name)).strip()
    return re.sub(r"(?i)\bwww\.", r"www\\.", SPECIAL.sub(r"\\\1", text)) or NOT_KNOWN


def code(text: object) -> str:
    """A digest, version or id as it is to be copied; a dash for nothing."""
    plain = STEERING.sub(" ", str(text or "")).replace("`", "'").replace("|", "/").strip()
    return f"`{plain}`" if plain else NOT_KNOWN


def figure(value: float | None) -> str:
    """``0.613``, or a dash where there is none."""
    return NOT_KNOWN if value is None or math.isnan(value) else f"{value:.3f}"


def signed(value: float | None) -> str:
    """``+0.013``, or a dash where there is none."""
    return NOT_KNOWN if value is None or math.isnan(value) else f"{value:+.3f}"


def with_bounds(value: float | None, interval: Mapping[str, float] | None, shown: str = "") -> str:
    """``0.613 (0.550 to 0.672)`` of an interval with ``low`` and ``high``; ``shown`` stands for the value where it is given."""
    told = shown or figure(value)
    if value is None or not interval:
        return told
    bounds = signed if shown.startswith(("+", "-")) else figure
    return f"{told} ({bounds(interval['low'])} to {bounds(interval['high'])})"


def percent(share: float) -> str:
    """``95 %``, with as many decimals as it needs."""
    return f"{share * 100:.6g} %"


def moment(iso: object) -> str:
    """``2026-05-01 12:00:00 UTC`` of an ISO 8601 time; the text itself where it is none, a dash for nothing."""
    try:
        told = datetime.fromisoformat(str(iso or ""))
    except ValueError:
        return escaped(iso or "")
    return f"{told:%Y-%m-%d %H:%M:%S} {told.tzname() or ''}".strip()


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a table whose cells are Markdown already: columns of figures at the right, others at the left."""
    figures = [bool(rows) and all(FIGURE.match(str(row[place])) for row in rows) for place in range(len(columns))]
    return [_row(columns), _row(["--:" if of else ":--" for of in figures]), *map(_row, rows)]


def _row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"

"""Findings: what a gate found, before anybody asks whether it blocks.

Here: the word, the sentence, the figures. Not here: finding (``core.gates``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

GateStatus = Literal["passed", "failed", "too few", "not judged"]
NOT_JUDGED: Final = "not judged"


@dataclass(frozen=True)
class Finding:
    """``status`` with its ``reason``, a sentence with figures and names, and the ``figures``, JSON-able.

    ``too few``: there are images, but not enough of them to judge by; ``not judged``: there is nothing that could be judged.
    """

    status: GateStatus
    reason: str
    figures: Mapping[str, Any]


def joined(parts: Sequence[str]) -> str:
    """Several parts of a sentence as one."""
    return "; ".join(part for part in parts if part)

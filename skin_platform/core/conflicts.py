"""Conflicts: the same bytes under two labels, and a person's decision on them."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Resolution:
    """A decision: the image is a ``label``. It holds while the image stands under no label but ``labels``, those then known."""

    sha256: str
    label: str
    labels: tuple[str, ...]
    who: str
    why: str
    resolved_at: str


def resolve(sha256: str, label: str, delivered: Collection[str], who: str, why: str, at: str) -> Resolution:
    """The decision that the image is a ``label``; raises ``ValueError`` where nobody delivered it so, or without ``why``."""
    if not delivered:
        raise ValueError(f"no image with SHA-256 {sha256} is in the catalogue: `skin conflicts` lists those in doubt")
    if label not in delivered:
        raise ValueError(f"{sha256[:12]} was delivered as {', '.join(sorted(delivered))}, not as '{label}': decide for one of "
                         "these, or deliver it under the right label first")
    if not why.strip():
        raise ValueError("a decision needs a reason: --why \"…\"")
    return Resolution(sha256, label, tuple(sorted(delivered)), who, why.strip(), at)

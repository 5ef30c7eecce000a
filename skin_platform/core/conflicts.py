"""Decisions: what a person says about an image under several labels, or under a wrong one."""

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


def resolve(
    sha256: str, label: str, delivered: Collection[str], who: str, why: str, at: str, known: Collection[str] = ()
) -> Resolution:
    """The decision that the image is a ``label``, one of those ``delivered`` for it or another one that is ``known``.

    Raises ``ValueError`` for an image that is not there, a label that nobody knows, or without ``why``.
    """
    if not delivered:
        raise ValueError(f"no image with SHA-256 {sha256} is in the catalogue: `skin conflicts` and `skin review "
                         "list` name those in doubt")
    if label not in {*delivered, *known}:
        raise ValueError(f"{sha256[:12]} was delivered as {', '.join(sorted(delivered))}, and '{label}' is no label here "
                         f"({', '.join(sorted(known))}): decide for one of these")
    if not why.strip():
        raise ValueError("a decision needs a reason: --why \"…\"")
    return Resolution(sha256, label, tuple(sorted({*delivered, label})), who, why.strip(), at)

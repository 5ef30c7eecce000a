"""Parts: what works beside the requests, and whether it still does.

Here: the parts by name, what is not done any more where one has ended. Not here: what they do (``serving.following``,
``serving.jobs``, …), who tells of it (``serving.status``, ``serving.exposition``).
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from skin_platform.serving.desk import Desk

INFERENCE = "inference"
WITHOUT = {  # what the end of each leaves undone
    INFERENCE: "no image is answered",
    "drain": "rows wait on this machine and get into no database",
    "follower": "a new champion is not taken up",
    "jobs": "submitted images wait",
    "keeper": "no image is kept",
    "keys": "keys that are made or revoked now are not heeded",
    "shadow": "the challenger answers nothing",
}
REMEDY = "start the service anew (what waits is kept), and see its log"


class Part(Protocol):
    """Something that works in threads of its own."""

    @property
    def is_alive(self) -> bool:
        """Whether all its threads run."""


def parts_of(desk: "Desk") -> dict[str, bool]:
    """Whether each part that this service was started with still works."""
    batcher = desk.current.batcher
    found: dict[str, Part | None] = {INFERENCE: batcher, **desk.parts}
    return {name: part.is_alive for name, part in found.items() if part is not None}


def ended(desk: "Desk") -> str | None:
    """What is not done any more, and the remedy; None where all parts work."""
    gone = [name for name, is_alive in parts_of(desk).items() if not is_alive]
    return "; ".join(f"{name} has ended: {WITHOUT[name]}" for name in gone) + f"; {REMEDY}" if gone else None


def lost(desk: "Desk") -> str | None:
    """Why no answer can be had, though a model is loaded: of the parts, inference alone makes answers. None where it works."""
    return None if parts_of(desk).get(INFERENCE, True) else f"{INFERENCE} has ended: {WITHOUT[INFERENCE]}; {REMEDY}"

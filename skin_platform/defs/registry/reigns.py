"""Reigns: which versions have answered, as the log of moves tells it, and which one a rollback brings back.

Here: reading a history. Not here: the moves themselves (``promoting``, ``storage.moves``).
"""

from collections.abc import Sequence

from skin_platform.storage.moves import Move


class NotPromotedError(RuntimeError):
    """A version that may not answer; ``reasons`` says what stands against it, a sentence each."""

    def __init__(self, version: str, reasons: list[str], remedy: str = "") -> None:
        super().__init__(f"{version} is not promoted: {'; '.join(reasons)}{f'. {remedy}' if remedy else ''}")
        self.reasons = reasons


def reign(history: Sequence[Move]) -> list[str]:
    """The champions that a rollback goes back through, the present one last: a rollback takes those after it off."""
    line: list[str] = []
    for move in history:
        if move.kind == "rolled back" and move.version in line:
            del line[line.index(move.version) + 1:]
        elif not line or line[-1] != move.version:
            line.append(move.version)
    return line


def former(history: Sequence[Move], to: str | None) -> str:
    """The version that a rollback brings back, ``to`` where it is named; raises ``NotPromotedError`` where it was none."""
    line, were = reign(history), list(dict.fromkeys(move.version for move in history))
    if to is not None:
        if to not in were:
            raise NotPromotedError(to, [f"it was never the champion (those were: {', '.join(were) or 'none'})"],
                                   "`skin models promote` asks its verdict")
        return to
    if len(line) >= 2:
        return line[-2]
    later = ", ".join(version for version in were if version not in line)
    if not later:
        raise NotPromotedError("the former champion", ["no other version has answered before"])
    raise NotPromotedError("the former champion", [f"{line[0]} is the first that answered, and {later} came later"],
                           "`skin models rollback --to VERSION` or `skin models promote VERSION` brings one of those back")


def rollbacks_of(version: str, history: Sequence[Move]) -> list[Move]:
    """The moves that took a version back and were not undone by a later promotion of it."""
    found: list[Move] = []
    for move in history:
        if move.kind == "rolled back" and move.former == version:
            found.append(move)
        elif move.version == version:
            found = []
    return found

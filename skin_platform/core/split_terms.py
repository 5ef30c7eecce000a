"""Split terms: what a dataset version is split by, and what becomes of versions when the terms change.

Here: which changes hold for new images alone, which are said, which are refused. Not here: the splits (``core.splits``).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SplitTerms:
    """The shares of the splits from least to most held out, the seed, the split that is locked, and the line of versions.

    The first split is learnt from, the second chooses. Versions of one line keep each other's splits.
    """

    fractions: Mapping[str, float]
    seed: int = 0
    locked: str | None = None
    line: str = ""


def swapped_roles(was: SplitTerms, now: SplitTerms, aliases: Mapping[str, str]) -> str:
    """Why images that were learnt from, or chosen by, would judge under the new terms of one line; empty where none would.

    ``aliases`` maps former and other names of splits, in lower case, to theirs.
    """
    before = [aliases.get(name.lower(), name) for name in was.fractions]
    kept = [name for name in before if name in now.fractions]
    after = [name for name in now.fractions if name in kept]
    if before[0] not in kept or (kept == after and before[0] == next(iter(now.fractions))):
        return ""  # a split that is not named any more is refused by name, where it holds images
    return (f"the splits were {', '.join(before)} when images were assigned to them, and are {', '.join(now.fractions)} now, "
            f"from least to most held out: '{before[0]}' was learnt from, and would choose or judge. Put them back in their "
            "order (a new one may come behind the first), or give `line` in dataset.yaml another name, which draws all splits "
            "anew")


def changed_terms(was: SplitTerms, now: SplitTerms, aliases: Mapping[str, str]) -> list[str]:
    """What is otherwise under the new terms of one line, a sentence each."""
    notes = []
    if dict(was.fractions) != dict(now.fractions):
        had, has = (", ".join(f"{name} {share:g}" for name, share in terms.fractions.items()) for terms in (was, now))
        notes.append(f"the shares were {had} and are {has}: images keep their split, only new ones go by the new shares")
    if was.seed != now.seed:
        notes.append(f"the seed was {was.seed} and is {now.seed}: images keep their split, only new ones go by it")
    chose, chooses = (aliases.get(list(terms.fractions)[1].lower(), list(terms.fractions)[1]) for terms in (was, now))
    if chose != chooses:
        notes.append(f"'{chose}' chose and calibrated, and '{chooses}' does now")
    locked = aliases.get(was.locked.lower(), was.locked) if was.locked else None
    if locked != now.locked:
        notes.append(_lock(locked, now.locked, chooses))
    return notes


def _lock(was: str | None, now: str | None, chooses: str) -> str:
    if now is None:
        return (f"'{was}' was locked and no split is now: scores are those on '{chooses}', which chose and calibrated, and "
                f"what is done with the images of '{was}' is not counted any more")
    before = f"'{was}' was locked before" if was else "no split was locked before, so that its images may have been looked at"
    return f"'{now}' is locked now: {before}"

"""Moves: which model version an alias names, and the log of how it came to that. The alias is the last move of its log.

    <models bucket>/skin_classifier/moves/<alias>/<number>.json              one object a move (``storage.numbered_log``)
    <models bucket>/skin_classifier/claims/<alias>/<number>/<token>.json     who writes that number (``storage.claims``)

Here: reading the log, adding to it, of several at once one. Not here: who may move what (``core.gates``), what follows from a
move (the bundle that serves, MLflow's aliases, the model card).

Who moves claims the next number and then writes it. A claim older than the lease is of a process that was killed: its number is
marked as passed over, and the next one is taken, so that numbers may have gaps. Each move says which one it rests on: should
a process that had only slept write its number after all, the newer move does not rest on it, and it is not part of the history.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from skin_platform.storage.claims import Claim, claim
from skin_platform.storage.faults import StorageError
from skin_platform.storage.numbered_log import NumberedLog
from skin_platform.storage.objects import ObjectStore

ROOT = "skin_classifier"
ALIASES = ("champion", "challenger")
LEASE_SECONDS = 60.0  # a move takes less than one; a store that restarts is back by then
WAIT_SECONDS = 5.0  # for another process to be done, so that the refusal can say what it did
Kind = Literal["promoted", "forced", "rolled back", "registered"]


@dataclass(frozen=True)
class Move:
    """From when on ``alias`` named ``version`` instead of ``former`` ("" none), by whom, why, and on which verdict ("" none).

    ``at`` is UTC in ISO 8601, ``number`` its place in the log, ``rests_on`` the number of the move before it (0 none).
    """

    alias: str
    version: str
    former: str
    kind: Kind
    by: str
    why: str
    at: str
    number: int
    verdict_sha256: str = ""
    rests_on: int = 0


def by_force(history: Sequence[Move]) -> Move | None:
    """The move by which a person forced the version that counts now, also where it was rolled back to since."""
    made = [move for move in history if move.version == history[-1].version and move.kind in ("promoted", "forced")]
    return made[-1] if made and made[-1].kind == "forced" else None


class MovedMeanwhileError(StorageError):
    """Another process was faster, or is at it. ``move`` is the one that counts now; None where it is not written yet."""

    def __init__(self, message: str, move: Move | None = None) -> None:
        super().__init__(message)
        self.move = move


class Moves:
    """The logs of both aliases in one models bucket."""

    def __init__(self, objects: ObjectStore, bucket: str, *, lease_seconds: float = LEASE_SECONDS,
                 clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._objects, self._bucket, self._lease_seconds, self._clock = objects, bucket, lease_seconds, clock
        self._logs = {alias: NumberedLog(objects, bucket, f"{ROOT}/moves/{alias}") for alias in ALIASES}

    def history(self, alias: str) -> list[Move]:
        """Every move that counted, oldest first; ``StorageError`` where the log is damaged, ``ValueError`` for no alias."""
        return list(self._back(alias))[::-1]

    def current(self, alias: str) -> Move | None:
        """The move that counts, None before the first; raises what ``history`` does."""
        return next(self._back(alias), None)

    def move(self, alias: str, version: str, *, expected: int, kind: Kind, by: str, why: str, verdict_sha256: str = "") -> Move:
        """Let ``alias`` name ``version`` from now on; returns the move as it stands in the log.

        ``expected`` is the number of the move that the decision rests on (0 none). Where ``alias`` names ``version`` already
        nothing is written, and the move that did it comes back. Raises ``MovedMeanwhileError`` where the log has gone on since,
        or another process is at it; ``KeyError`` for a version that is not there; ``ValueError`` for a move without a name or
        reason; ``StorageError`` for a damaged log, or a store that does not answer: then look which of the two it was.
        """
        kinds = get_args(Kind)
        if kind not in kinds or (kind != "registered" and not (by.strip() and why.strip())):
            raise ValueError(f"a move is one of {', '.join(kinds)}, and says by whom and why: got {kind!r}, {by!r}, {why!r}")
        former = self._as_expected(alias, self.current(alias), expected)
        if former and former.version == version:
            return former
        number, claimed = self._claimed(alias, {"by": by, "doing": f"moving the {alias} to {version}"}, expected)
        if not self._objects.object_exists(self._bucket, f"{ROOT}/{version}/manifest.json"):
            self._objects.delete_object(self._bucket, claimed)
            raise KeyError(f"there is no model version {version}: `skin models list` shows those that there are")
        at = self._clock().astimezone(UTC).isoformat(timespec="seconds")
        move = Move(alias, version, former.version if former else "", kind, by, why, at, number, verdict_sha256, expected)
        with suppress(FileExistsError):  # we slept longer than the lease and were passed over: the log says so
            self._logs[alias].write(number, asdict(move))
        if move not in self._back(alias):
            raise self._overtaken(alias)
        return move

    @contextmanager
    def halted(self, alias: str, by: str, doing: str) -> Iterator[None]:
        """Nobody moves ``alias`` meanwhile, for as long as a lease; raises ``MovedMeanwhileError`` where somebody is at it."""
        _, claimed = self._claimed(alias, {"by": by, "doing": doing}, None)
        try:
            yield
        finally:
            self._objects.delete_object(self._bucket, claimed)

    def _claimed(self, alias: str, words: Mapping[str, str], expected: int | None) -> tuple[int, str]:
        """The next number, ours to write, and the key of the claim on it."""
        deadline, pause = time.monotonic() + WAIT_SECONDS, 0.1
        while True:
            number = self._next(alias, expected)
            found = claim(self._objects, self._bucket, f"{ROOT}/claims/{alias}/{number:08d}", words, self._lease_seconds)
            if not found.others:
                if self._next(alias, expected) == number:  # else it was written between our looking and our claim
                    return number, found.key
            elif all(other.is_stale for other in found.others):
                self._logs[alias].pass_over(number)
            elif time.monotonic() > deadline:
                raise self._under_way(alias, found.others[0])
            else:
                time.sleep(random.uniform(pause / 2, pause))
                pause = min(2 * pause, 1.0)  # many at once on a slow store would else never leave one of them alone

    def _next(self, alias: str, expected: int | None) -> int:
        """The first number after all that are written, where the expected move counts.

        Of one look at the log: a number that follows a later move would be claimed, and kept from others, for nothing.
        """
        numbers = self._logs[alias].numbers()
        self._as_expected(alias, next(self._back(alias, numbers), None), expected)
        return max(numbers, default=0) + 1

    def _as_expected(self, alias: str, found: Move | None, expected: int | None) -> Move | None:
        """The move that counts, which must be the expected one."""
        if expected is not None and (found.number if found else 0) != expected:
            raise self._overtaken(alias)
        return found

    def _back(self, alias: str, numbers: list[int] | None = None) -> Iterator[Move]:
        """The moves that count, newest first, where these ``numbers`` (all) are written."""
        if alias not in ALIASES:
            raise ValueError(f"'{alias}' is no alias: {' or '.join(ALIASES)}")
        log = self._logs[alias]
        written = reversed(log.numbers() if numbers is None else numbers)
        number, told = next(((number, told) for number in written if (told := log.read(number))), (0, None))
        while number:
            if told is None:
                raise log.damaged(number, "a later move rests on it, but it was passed over")
            try:
                move = Move(**told)
            except TypeError:
                raise log.damaged(number, "it is no move") from None
            yield move
            number = move.rests_on
            told = log.read(number) if number else None

    def _overtaken(self, alias: str) -> MovedMeanwhileError:
        found = self.current(alias)
        told = (f"{found.by or 'somebody'} moved it to {found.version} at {found.at} (move {found.number}, {found.kind}"
                f"{': ' + found.why if found.why else ''})" if found else "its log has no move that counts")
        return MovedMeanwhileError(f"the {alias} is not what it was when this was decided: {told}. Nothing was changed: look "
                                   "at it with `skin models list`, then decide anew", found)

    def _under_way(self, alias: str, other: Claim) -> MovedMeanwhileError:
        try:
            told = json.loads(self._objects.download_file(self._bucket, other.key))
        except KeyError:  # given back meanwhile
            told = {}
        return MovedMeanwhileError(
            f"the {alias} cannot be moved now: {told.get('by') or 'another process'} has been {told.get('doing', 'moving it')} "
            f"since {other.made_at.isoformat(timespec='seconds')}. Nothing was changed: try again; should that process have "
            f"been killed, it is passed over {self._lease_seconds:.0f} s after that")

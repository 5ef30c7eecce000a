"""Promoting: which version answers from now on, decided by the verdict as it stands in the store, or by a person.

Here: promotion, rollback, and what stands against them. Not here: the verdict (``judging``), the log (``storage.moves``).

A move is one object in the log. All that follows from it (the export that is served, MLflow's aliases, the model cards) is
brought in step afterwards, by whoever moved, else by ``registry_sensor`` or the next command: a promotion that is killed, or
meets a service that is down, has happened or has not.
"""

from collections.abc import Callable

from mlflow import MlflowException

from skin_platform.defs.bundling import BundleFault, ensure_bundle, export_champion
from skin_platform.defs.registry.behind import stale_cards
from skin_platform.defs.registry.judging import faults_of, read_judgement
from skin_platform.defs.registry.model_card import write_card
from skin_platform.defs.registry.telling import tell_registry
from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import Move
from skin_platform.storage.stores import Stores

Warn = Callable[[str], None]


class NotPromotedError(RuntimeError):
    """A version that may not answer; ``reasons`` says what stands against it, a sentence each."""

    def __init__(self, version: str, reasons: list[str], remedy: str = "") -> None:
        super().__init__(f"{version} is not promoted: {'; '.join(reasons)}{f'. {remedy}' if remedy else ''}")
        self.reasons = reasons


def against(version: str, stores: Stores, *, unattended: bool = False) -> list[str]:
    """What stands against promoting a version now, a sentence each; empty where nothing does.

    Reads the verdict anew: one that is missing, stale or of something else stands against it. ``unattended``: nobody has asked
    for this version by name; what a person has rolled back stays back then.
    """
    champion = stores.moves.current("champion")
    try:
        judgement = read_judgement(version, stores)
        faults = faults_of(judgement, version, champion, stores)
    except (KeyError, StorageError) as error:
        return [str(error.args[0])]
    if faults:
        return [*faults, f"`skin models judge {version}` judges it anew"]
    reasons = [f"{verdict['gate']}: {verdict['reason']}" for verdict in judgement.blocks]
    if unattended:
        reasons += [f"it was rolled back by {move.by} at {move.at} ({move.why}): `skin models promote {version}` brings it back"
                    for move in _rollbacks_of(version, stores)[-1:]]
    return reasons


def promote(
    version: str, stores: Stores, *, by: str, why: str, warn: Warn, force: bool = False, unattended: bool = False
) -> Move:
    """Let a version answer from now on, where its verdict allows it or a person forces it; returns the move.

    Does nothing where it answers already. Raises ``NotPromotedError``, ``MovedMeanwhileError`` where another process was
    faster, ``KeyError`` for an unknown version.
    """
    champion = stores.moves.current("champion")
    if champion and champion.version == version:
        follow(stores, warn)
        return champion
    stores.versions.read_manifest(version)
    reasons = against(version, stores, unattended=unattended)
    if reasons and not force:
        raise NotPromotedError(version, reasons)
    _bundled(version, stores)
    told = f"{why} (against it: {'; '.join(reasons)})" if reasons else why
    move = stores.moves.move(
        "champion", version, expected=champion.number if champion else 0, kind="forced" if reasons else "promoted", by=by,
        why=told, verdict_sha256=_verdict_sha256(version, stores))
    follow(stores, warn)
    return move


def rollback(stores: Stores, *, by: str, why: str, warn: Warn, to: str | None = None) -> Move:
    """Let the former champion (or ``to``, which was one) answer again; returns the move.

    Raises ``NotPromotedError`` where there is none, or its files are gone; ``MovedMeanwhileError`` as ``promote``.
    """
    history = stores.moves.history("champion")
    champion = history[-1] if history else None
    line = reign(history)
    if champion is None or (len(line) < 2 and to is None):
        raise NotPromotedError(to or "the former champion", ["there is none: no other version has answered before"])
    version = to or line[-2]
    if to is not None and (to == champion.version or to not in [move.version for move in history]):
        was = ", ".join(dict.fromkeys(move.version for move in history if move.version != champion.version)) or "none"
        raise NotPromotedError(to, [f"it is no former champion (those are: {was})"], "Use `skin models promote` instead")
    _bundled(version, stores)
    move = stores.moves.move("champion", version, expected=champion.number, kind="rolled back", by=by, why=why,
                             verdict_sha256=_verdict_sha256(version, stores))
    follow(stores, warn)
    return move


def reign(history: list[Move]) -> list[str]:
    """The champions that a rollback goes back through, the present one last: a rollback takes those after it off."""
    line: list[str] = []
    for move in history:
        if move.kind == "rolled back" and move.version in line:
            del line[line.index(move.version) + 1:]
        elif not line or line[-1] != move.version:
            line.append(move.version)
    return line


def follow(stores: Stores, warn: Warn) -> None:
    """Bring in step what follows from the log of moves; what cannot be now is said, and done later."""
    later = "`skin models record` or registry_sensor does it later"
    for version in stale_cards(stores):  # before the export: a bento holds the card
        try:
            write_card(version, stores)
        except (KeyError, StorageError, OSError) as error:
            warn(f"the model card of {version} is not written ({error}); {later}")
    try:
        export_champion(stores)
    except (BundleFault, StorageError, OSError) as error:
        warn(f"{stores.settings.home.export} does not follow the champion yet ({error}); {later}")
    try:
        tell_registry(stores)
    except (MlflowException, OSError) as error:
        warn(f"MLflow does not know of it yet ({(str(error) or type(error).__name__).splitlines()[0]}); {later}")


def _bundled(version: str, stores: Stores) -> None:
    """A version answers only if its bundle does, here and now."""
    try:
        ensure_bundle(version, stores)
    except (BundleFault, KeyError) as error:
        raise NotPromotedError(version, [str(error.args[0] if error.args else error)]) from error


def _verdict_sha256(version: str, stores: Stores) -> str:
    try:
        return read_judgement(version, stores).sha256
    except (KeyError, StorageError):
        return ""


def _rollbacks_of(version: str, stores: Stores) -> list[Move]:
    """The moves that took a version back and were not undone by a later promotion of it."""
    found: list[Move] = []
    for move in stores.moves.history("champion"):
        if move.kind == "rolled back" and move.former == version:
            found.append(move)
        elif move.version == version:
            found = []
    return found

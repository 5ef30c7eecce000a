"""Promoting: which version answers from now on, decided by the verdict as it stands in the store, or by a person.

Here: promotion, rollback, and what stands against them. Not here: the verdict (``judging``), the log (``storage.moves``).

A move is one object in the log. All that follows from it (the export that is served, MLflow's aliases, the model cards) is
brought in step afterwards, by whoever moved, else by ``registry_sensor`` or the next command: a promotion that is killed, or
meets a service that is down, has happened or has not.
"""

from collections.abc import Callable

from mlflow import MlflowException

from skin_platform.defs.bundling import BundleFault, ensure_bundle, export_challenger, export_champion
from skin_platform.defs.registry.behind import stale_cards
from skin_platform.defs.registry.judging import faults_of, read_judgement
from skin_platform.defs.registry.model_card import write_card
from skin_platform.defs.registry.reigns import NotPromotedError, former, rollbacks_of
from skin_platform.defs.registry.telling import tell_registry
from skin_platform.serving.exporting import read_promotion
from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import Move, by_force
from skin_platform.storage.stores import Stores

Warn = Callable[[str], None]


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
                    for move in rollbacks_of(version, stores.moves.history("champion"))[-1:]]
    return reasons


def promote(
    version: str, stores: Stores, *, by: str, why: str, warn: Warn, force: bool = False, unattended: bool = False
) -> Move:
    """Let a version answer from now on, where its verdict allows it or a person forces it; returns the move.

    Does nothing where it answers already. Raises ``NotPromotedError``, ``MovedMeanwhileError`` where another process was
    faster, ``KeyError`` for an unknown version, ``ValueError`` where nobody or no reason is named.
    """
    by, why = _said_plainly(by, why)
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

    A rollback that was killed is completed first, and nothing else is done then. Raises ``NotPromotedError`` where there is no
    such version, or its files are gone; else what ``promote`` does.
    """
    by, why = _said_plainly(by, why)
    history = stores.moves.history("champion")
    champion = history[-1] if history else None
    if champion and (to == champion.version or (champion.kind == "rolled back" and _is_behind(champion, stores))):
        follow(stores, warn)
        return champion
    version = former(history, to)
    _bundled(version, stores)
    forced = by_force([move for move in history if move.version == version])
    told = f"{why} (it was promoted by force by {forced.by} at {forced.at}: {forced.why})" if forced else why
    move = stores.moves.move("champion", version, expected=history[-1].number, kind="rolled back", by=by, why=told,
                             verdict_sha256=_verdict_sha256(version, stores))
    follow(stores, warn)
    return move


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
        export_challenger(stores)
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


def _is_behind(champion: Move, stores: Stores) -> bool:
    """Whether the export does not follow the last move yet: the process that made it was killed, or could not."""
    exported = read_promotion(stores.settings.home.export)
    return exported is None or exported.number != champion.number


def _said_plainly(by: str, why: str) -> tuple[str, str]:
    """Who and why on one line each, without control characters; raises ``ValueError`` where either is missing."""
    plain = [" ".join("".join(c if c.isprintable() or c.isspace() else " " for c in text).split()) for text in (by, why)]
    for text, option in zip(plain, ("--by", "--why"), strict=True):
        if not text:
            raise ValueError(f"{option} is empty: the history says who moved the champion, and why")
    return plain[0], plain[1]

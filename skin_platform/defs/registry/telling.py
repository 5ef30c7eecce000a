"""Telling: MLflow's registry shows what the log of moves and the object store say.

Here: when it is told, and what is remembered of that. Not here: what is to be shown (``truth``), MLflow's own words for it
(``mlflow_registry``), the runs of trainings (``checkpoints.recording``).

MLflow is told, never asked: nothing that it says decides. Each call looks at what stands there and changes what differs, so
that one that was killed, or met a dead server, is completed by the next one, and telling twice changes nothing.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from skin_platform.defs.registry.truth import read_told, state_of, truth_of, write_told
from skin_platform.storage.faults import StorageError
from skin_platform.storage.stores import Stores


def tell_registry(stores: Stores) -> list[str]:
    """Bring MLflow's registry in step: a model version a version, tags, aliases, moves; returns what was changed, a line each.

    A version waits whose training MLflow was not told of yet. Raises ``MlflowException`` or ``OSError`` where MLflow does not
    answer, ``StorageError`` where the store does not.
    """
    from skin_platform.defs.registry.mlflow_registry import REGISTERED, MlflowRegistry

    with _alone(stores):
        state, truth, told = state_of(stores), truth_of(stores), read_told(stores)
        if not truth.versions and not told.versions:
            return []
        known = {of.version: of.tags["checkpoint_sha256"] for of in truth.versions}
        if not known.items() <= told.versions.items():  # before MLflow hears of one: nobody would know it once it is deleted
            write_told(replace(told, state="", versions={**told.versions, **known}), stores)
        kept = {version: sha256 for version, sha256 in told.versions.items() if version in truth.unreadable}
        gone = {version: sha256 for version, sha256 in told.versions.items() if version not in known and version not in kept}
        registry = MlflowRegistry(stores.settings.mlflow_uri)
        lines, numbers = registry.follow(truth, gone)
        for of in truth.versions:
            told_as = json.dumps({"name": REGISTERED, "version": numbers.get(of.version), "run_id": of.run_id}).encode()
            if of.version in numbers and of.run_id and not _is_noted(of.version, told_as, stores):
                registry.link(of.run_id, numbers[of.version])
                _note(of.version, told_as, stores)
        waiting = {of.version: of.run_key for of in truth.versions if of.run_id is None}
        now = replace(told, state=state, versions={**kept, **known}, waiting=waiting)
        if now != read_told(stores):
            write_told(now, stores)
    return [*lines, *(f"{version} stays as it was shown: {why}" for version, why in truth.unreadable.items())]


def _is_noted(version: str, told_as: bytes, stores: Stores) -> bool:
    try:
        return stores.versions.read_file(version, "mlflow.json") == told_as
    except (KeyError, StorageError):
        return False


def _note(version: str, told_as: bytes, stores: Stores) -> None:
    """Keep beside the version where MLflow shows it."""
    with suppress(KeyError):  # the version was deleted meanwhile: the next telling takes it off
        stores.versions.write_file(version, "mlflow.json", told_as)


@contextmanager
def _alone(stores: Stores) -> Iterator[None]:
    """No other process of this machine tells meanwhile; one of another machine may, and what both made is then taken off."""
    folder = stores.settings.home.mlflow
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".registry.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

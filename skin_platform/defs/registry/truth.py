"""The truth that MLflow's registry is to show: versions, aliases and moves as the object store has them, and what it was told.

    <models bucket>/skin_classifier/mlflow_told.json    the state of the store that MLflow was told last

Here: reading it, and noticing cheaply that MLflow is behind. Not here: telling MLflow (``telling``).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import ALIASES, ROOT, Move
from skin_platform.storage.stores import Stores

MARKER = f"{ROOT}/mlflow_told.json"
WHY_CHARS = 1000  # of a reason in a tag; MLflow's databases take some thousand characters


@dataclass(frozen=True)
class ToldVersion:
    """A version as MLflow is to know it: its tags, and the MLflow run that its fit stands in (None: it was not told yet)."""

    version: str
    run_key: str
    run_id: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Truth:
    """All versions, the version of each alias that names one, and a sentence a move by the tag that it becomes.

    ``unreadable`` versions stay as they were shown, with the reason.
    """

    versions: tuple[ToldVersion, ...]
    aliases: Mapping[str, str]
    history: Mapping[str, str]
    unreadable: Mapping[str, str]


@dataclass(frozen=True)
class Told:
    """What MLflow was told last: the ``state`` of the store, and ``versions`` with their checkpoint's SHA-256.

    Those ``waiting`` wait for their training to be told; its run key stands beside them.
    """

    state: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)


def registry_out_of_step(stores: Stores) -> bool:
    """Whether there is something to tell MLflow's registry: a listing and the last state told, no question to MLflow."""
    told = read_told(stores)
    if told.state != state_of(stores):
        return bool(told.versions or stores.versions.list_model_versions())
    return any(stores.unrecorded.tracking_run(run_key) for run_key in told.waiting.values())


def state_of(stores: Stores) -> str:
    """A digest of which versions, verdicts and moves there are, and of which MLflow; from one listing."""
    keys = [item.key for item in stores.objects.list_objects(stores.settings.s3_bucket_models, ROOT) if _tells(item.key)]
    return hashlib.sha256("\n".join([stores.settings.mlflow_uri, *keys]).encode()).hexdigest()


def truth_of(stores: Stores) -> Truth:
    """What stands in the object store now; a version that is deleted meanwhile is left out."""
    moves = {alias: stores.moves.history(alias) for alias in ALIASES}
    found, unreadable = list[ToldVersion](), {}
    for name in stores.versions.list_model_versions():
        try:
            found += _version(name, moves["champion"], stores)
        except StorageError as error:
            unreadable[name] = str(error)
    return Truth(
        tuple(found), stores.versions.aliases(),
        {f"moves/{alias}/{move.number:08d}": _sentence(move) for alias in ALIASES for move in moves[alias]}, unreadable)


def read_told(stores: Stores) -> Told:
    """What MLflow was told last; nothing where it was never told."""
    try:
        return Told(**json.loads(stores.objects.download_file(stores.settings.s3_bucket_models, MARKER)))
    except KeyError:
        return Told()


def write_told(told: Told, stores: Stores) -> None:
    """Remember what MLflow was told."""
    stores.objects.upload_file(stores.settings.s3_bucket_models, MARKER, json.dumps(asdict(told), indent=1).encode())


def _tells(key: str) -> bool:
    parts = key.split("/")
    return parts[1] == "moves" or (len(parts) == 3 and parts[2] == "manifest.json") or parts[2:4] == ["written", "verdict.json"]


def _version(version: str, moves: list[Move], stores: Stores) -> list[ToldVersion]:
    """Empty for a version that is gone, or whose origin is not on record (made before there was a registry)."""
    try:
        manifest = stores.versions.read_manifest(version)
        checkpoint = json.loads(stores.versions.read_file(version, "origin.json"))["checkpoint"]
    except KeyError:
        return []
    run_key = str(checkpoint["key"]).rsplit("/", 2)[-2]
    tags = {
        "version": version, "object": f"s3://{stores.settings.s3_bucket_models}/{ROOT}/{version}/",
        "checkpoint_sha256": manifest["checksum"], "dataset_digest": manifest["dataset_digest"],
        "forced": _forced(version, moves), **_verdict(version, stores)}
    return [ToldVersion(version, run_key, stores.unrecorded.tracking_run(run_key), tags)]


def _verdict(version: str, stores: Stores) -> dict[str, str]:
    try:
        data = stores.versions.read_file(version, "verdict.json")
    except KeyError:
        return {"verdict": "not judged", "verdict_sha256": ""}
    verdicts: list[dict[str, Any]] = json.loads(data)["verdicts"]
    blocking = ", ".join(item["gate"] for item in verdicts if item["blocks"])
    return {"verdict": f"refused by {blocking}" if blocking else "passed", "verdict_sha256": hashlib.sha256(data).hexdigest()}


def _forced(version: str, moves: list[Move]) -> str:
    forced = [move for move in moves if move.version == version and move.kind == "forced"]
    return "; ".join(f"by {move.by} at {move.at}: {move.why[:WHY_CHARS]}" for move in forced[-1:]) or "no"


def _sentence(move: Move) -> str:
    former = f" in place of {move.former}" if move.former else ""
    return f"{move.version}{former}: {move.kind} by {move.by} at {move.at}: {move.why[:WHY_CHARS]}"

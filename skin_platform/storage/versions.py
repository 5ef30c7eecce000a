"""Model versions in the object store: named by the second of their making, verified by the SHA-256 in their manifest.

Here: uploading, listing, fetching and deleting versions, and the files that are written of one later. Not here: how a name is
taken (``storage.claims``), the files of a training run (``storage.models``), which version is promoted (``storage.moves``).

    <models bucket>/skin_classifier/<version>/model.ckpt
    <models bucket>/skin_classifier/<version>/training_history.json
    <models bucket>/skin_classifier/<version>/manifest.json            sealed, and written last: without it there is no version
    <models bucket>/skin_classifier/<version>/<name>                   evaluation.json, verdict.json, … (``noted_files``)
    <models bucket>/skin_classifier/<version>/deleted.json             while a deletion is under way, or was killed
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from skin_platform.storage.claims import claim_second
from skin_platform.storage.faults import DamagedError, StorageError
from skin_platform.storage.moves import ALIASES, ROOT, Moves
from skin_platform.storage.noted_files import read_noted, write_noted
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.sealed import seal, unseal

OWN_FILES = ("model.ckpt", "training_history.json", "manifest.json", "deleted.json")


@dataclass(frozen=True)
class ModelFacts:
    """What a version's manifest says of its model.

    ``best_epoch`` is the epoch that the kept weights are of, ``score`` what they got on the split that counts, with its n.
    """

    architecture: str
    num_classes: int
    best_epoch: int
    train_accuracy: float
    val_accuracy: float
    train_loss: float
    val_loss: float
    total_epochs: int
    optimizer: str
    score: dict[str, Any]
    dataset_digest: str
    code_version: str
    dagster_run_id: str
    labels: Sequence[str]
    preprocessing: dict[str, Any]
    calibration: dict[str, float]


@dataclass(frozen=True)
class ModelVersion:
    """A version as it is listed: its name, the aliases that name it, and its manifest, or what is wrong with that."""

    version: str
    manifest: dict[str, Any]
    aliases: tuple[str, ...] = field(default=())
    damage: str = ""


class ModelVersions:
    """The versions in one models bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket, self.moves = objects, bucket, Moves(objects, bucket)

    def upload_model(self, checkpoint: bytes, history: Sequence[dict[str, float]], facts: ModelFacts,
                     clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> str:
        """Store a model as a new version; returns its name. A version with the very same content is returned instead.

        Names are those of seconds in UTC and never given twice.
        """
        told = json.dumps(list(history), indent=1).encode()
        manifest = json.loads(json.dumps(asdict(facts))) | {
            "checksum": hashlib.sha256(checkpoint).hexdigest(), "checksum_algorithm": "sha256",
            "md5": hashlib.md5(checkpoint, usedforsecurity=False).hexdigest(), "bytes": len(checkpoint),
            "training_history_sha256": hashlib.sha256(told).hexdigest()}
        for known in reversed(self.list_model_versions()):
            with suppress(KeyError, DamagedError):  # deleted meanwhile, or no longer known to be the same
                if manifest.items() <= self.read_manifest(known).items():
                    return known
        version, moment = claim_second(self._objects, self._bucket, f"{ROOT}/claims", clock)
        base = f"{ROOT}/{version}"
        self._objects.upload_file(self._bucket, f"{base}/model.ckpt", checkpoint, {"sha256": manifest["checksum"]})
        self._objects.upload_file(self._bucket, f"{base}/training_history.json", told)
        stored = {"version": version, "created_at": moment.isoformat(), **manifest}
        key = f"{base}/manifest.json"
        self._objects.upload_file(self._bucket, key, seal(key, stored), only_if_absent=True)
        return version

    def download_model(self, version: str) -> bytes:
        """The checkpoint of a version, verified; raises ``KeyError`` for an unknown one, ``StorageError`` for a damaged one."""
        return self._objects.download_verified(
            self._bucket, f"{ROOT}/{version}/model.ckpt", self.read_manifest(version)["checksum"])

    def read_history(self, version: str) -> list[dict[str, float]]:
        """The figures of every epoch, verified; raises what ``download_model`` does."""
        found: list[dict[str, float]] = json.loads(self._objects.download_verified(
            self._bucket, f"{ROOT}/{version}/training_history.json", self.read_manifest(version)["training_history_sha256"]))
        return found

    def read_manifest(self, version: str) -> dict[str, Any]:
        """What was written of a version, verified; raises ``KeyError`` for an unknown one, ``DamagedError`` for a damaged."""
        key, fault = f"{ROOT}/{version}/manifest.json", ""
        for _ in range(2):  # once more where it came damaged
            try:
                return unseal(key, self._objects.download_file(self._bucket, key))
            except KeyError:
                raise self._unknown(version) from None
            except ValueError as error:
                fault = str(error)
        raise DamagedError(
            f"s3://{self._bucket}/{key} is damaged: {fault}. Put the object back as it was, from a backup of the bucket, "
            f"or `skin models delete {version}`: the assets of the room registry, materialized, register it anew")

    def list_model_versions(self) -> list[str]:
        """The names of all whole versions, oldest first."""
        keys = (item.key.split("/") for item in self._objects.list_objects(self._bucket, ROOT))
        return sorted(key[1] for key in keys if len(key) == 3 and key[2] == "manifest.json")

    def get_latest_version(self) -> str | None:
        """The name of the newest version, or None."""
        versions = self.list_model_versions()
        return versions[-1] if versions else None

    def write_file(self, version: str, name: str, data: bytes) -> str:
        """Store a file of a version (``storage.noted_files``), in place of a former one; returns its SHA-256.

        Raises ``KeyError`` for an unknown version, ``ValueError`` for a name that the version itself needs.
        """
        if "/" in name or not name or name in OWN_FILES:
            raise ValueError(f"'{name}' cannot be a file of a version: a plain name, and none of {', '.join(OWN_FILES)}")
        self.read_manifest(version)
        return write_noted(self._objects, self._bucket, f"{ROOT}/{version}", name, data)

    def read_file(self, version: str, name: str, sha256: str = "") -> bytes:
        """A file of a version, verified: it was written there, and is that of ``sha256`` where one is named.

        Raises ``KeyError`` for an unknown version or a file that it does not have, ``StorageError`` for a damaged or other one.
        """
        self.read_manifest(version)
        try:
            return read_noted(self._objects, self._bucket, f"{ROOT}/{version}", name, sha256)
        except KeyError:
            raise KeyError(f"model version {version} has no {name}: materialize the assets of the room registry for it, which "
                           "write it") from None

    def delete_model_version(self, version: str, in_use: Mapping[str, str] | None = None, *, by: str = "") -> None:
        """Remove a version and all its files; its name is not given again. A deletion that was killed is ended by another one.

        Raises ``KeyError`` for an unknown one, ``StorageError`` while an alias names it or ``in_use`` says by what it is used
        (``{"v…": "runs/skin5-current"}``). No alias moves between that look and the end of the version.
        """
        if not self._objects.object_exists(self._bucket, f"{ROOT}/{version}/deleted.json"):
            self._refuse_if_unknown(version)
        self._refuse_if_used(version, in_use or {})
        doing = f"deleting model version {version}"
        with self.moves.halted("champion", by, doing), self.moves.halted("challenger", by, doing):
            self._refuse_if_used(version, in_use or {})
            self._objects.upload_file(self._bucket, f"{ROOT}/{version}/deleted.json", json.dumps({"by": by}).encode())
            self._objects.delete_object(self._bucket, f"{ROOT}/{version}/manifest.json")  # what makes it a version goes first
        keys = [item.key for item in self._objects.list_objects(self._bucket, f"{ROOT}/{version}")]
        for key in sorted(keys, key=lambda key: key.endswith(f"{version}/deleted.json")):  # and what says that it goes, last
            self._objects.delete_object(self._bucket, key)

    def _refuse_if_unknown(self, version: str) -> None:
        """A damaged version is none that is unknown: it can be deleted."""
        if not self._objects.object_exists(self._bucket, f"{ROOT}/{version}/manifest.json"):
            raise self._unknown(version)

    def _unknown(self, version: str) -> KeyError:
        return KeyError(f"there is no model version {version}: `skin models list` shows those that there are")

    def _refuse_if_used(self, version: str, in_use: Mapping[str, str]) -> None:
        aliases = [alias for alias, named in self.aliases().items() if named == version]
        if aliases:
            raise StorageError(f"model version {version} is the {' and '.join(aliases)}: promote another one, then delete it")
        if version in in_use:
            raise StorageError(f"model version {version} is in use by {in_use[version]}: change that first, then delete it")

    def aliases(self) -> dict[str, str]:
        """The version that each alias names, of those that name one. The challenger that was promoted is one no longer."""
        moves = {alias: self.moves.current(alias) for alias in ALIASES}
        named = {alias: move.version for alias, move in moves.items() if move}
        return named if len(set(named.values())) == len(named) else {"champion": named["champion"]}

    def described(self) -> list[ModelVersion]:
        """All versions with their manifests and aliases, newest first; one with a damaged manifest is there all the same."""
        named = self.aliases()
        return [self._described(version, tuple(alias for alias, name in named.items() if name == version))
                for version in reversed(self.list_model_versions())]

    def _described(self, version: str, aliases: tuple[str, ...]) -> ModelVersion:
        try:
            return ModelVersion(version, self.read_manifest(version), aliases)
        except DamagedError as error:
            return ModelVersion(version, {}, aliases, str(error))

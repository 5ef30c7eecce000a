"""Model versions in the object store: named by the second of their making, verified by the SHA-256 in their manifest.

Here: uploading, listing, fetching and deleting versions. Not here: how a name is taken (``storage.claims``), the files of a
training run (``storage.models``), which version is promoted (the registry writes the aliases).

    <models bucket>/skin_classifier/<version>/model.ckpt
    <models bucket>/skin_classifier/<version>/training_history.json
    <models bucket>/skin_classifier/<version>/manifest.json            written last: without it there is no version
    <models bucket>/skin_classifier/aliases/<alias>.json               {"version": …}, alias champion or challenger
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from skin_platform.storage.claims import claim_second
from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore

ROOT = "skin_classifier"
ALIASES = ("champion", "challenger")


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
    """A version as it is listed: its name, the aliases that name it, and its manifest."""

    version: str
    manifest: dict[str, Any]
    aliases: tuple[str, ...] = field(default=())


class ModelVersions:
    """The versions in one models bucket."""

    def __init__(self, objects: ObjectStore, bucket: str) -> None:
        self._objects, self._bucket = objects, bucket

    def upload_model(self, checkpoint: bytes, history: Sequence[dict[str, float]], facts: ModelFacts,
                     clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> str:
        """Store a model as a new version; returns its name. The newest version with the very same content is returned instead.

        Names are those of seconds in UTC and never given twice.
        """
        told = json.dumps(list(history), indent=1).encode()
        manifest = json.loads(json.dumps(asdict(facts))) | {
            "checksum": hashlib.sha256(checkpoint).hexdigest(), "checksum_algorithm": "sha256",
            "md5": hashlib.md5(checkpoint, usedforsecurity=False).hexdigest(), "bytes": len(checkpoint),
            "training_history_sha256": hashlib.sha256(told).hexdigest()}
        newest = self.get_latest_version()
        if newest and manifest.items() <= self.read_manifest(newest).items():
            return newest
        version, moment = claim_second(self._objects, self._bucket, f"{ROOT}/claims", clock)
        base = f"{ROOT}/{version}"
        self._objects.upload_file(self._bucket, f"{base}/model.ckpt", checkpoint, {"sha256": manifest["checksum"]})
        self._objects.upload_file(self._bucket, f"{base}/training_history.json", told)
        stored = {"version": version, "created_at": moment.isoformat(), **manifest}
        data = json.dumps(stored, indent=1, ensure_ascii=False).encode()
        self._objects.upload_file(self._bucket, f"{base}/manifest.json", data, only_if_absent=True)
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
        """What was written of a version; raises ``KeyError`` for an unknown one."""
        try:
            found: dict[str, Any] = json.loads(self._objects.download_file(self._bucket, f"{ROOT}/{version}/manifest.json"))
        except KeyError:
            raise KeyError(f"there is no model version {version}: `skin models list` shows those that there are") from None
        return found

    def list_model_versions(self) -> list[str]:
        """The names of all whole versions, oldest first."""
        keys = (item.key.split("/") for item in self._objects.list_objects(self._bucket, ROOT))
        return sorted(key[1] for key in keys if len(key) == 3 and key[2] == "manifest.json")

    def get_latest_version(self) -> str | None:
        """The name of the newest version, or None."""
        versions = self.list_model_versions()
        return versions[-1] if versions else None

    def delete_model_version(self, version: str) -> None:
        """Remove a version; its name is not given again.

        Raises ``KeyError`` for an unknown one, ``StorageError`` while an alias names it.
        """
        self.read_manifest(version)
        aliases = [alias for alias, named in self.aliases().items() if named == version]
        if aliases:
            raise StorageError(f"model version {version} is the {' and '.join(aliases)}: promote another one, then delete it")
        for name in ("manifest.json", "training_history.json", "model.ckpt"):  # what makes it a version goes first
            self._objects.delete_object(self._bucket, f"{ROOT}/{version}/{name}")

    def aliases(self) -> dict[str, str]:
        """The version that each alias names, of those that were given."""
        found = {}
        for alias in ALIASES:
            try:
                found[alias] = str(json.loads(self._objects.download_file(self._bucket, alias_key(alias)))["version"])
            except KeyError:
                continue
        return found

    def described(self) -> list[ModelVersion]:
        """All versions with their manifests and aliases, newest first."""
        named = self.aliases()
        return [ModelVersion(version, self.read_manifest(version),
                             tuple(alias for alias, name in named.items() if name == version))
                for version in reversed(self.list_model_versions())]


def alias_key(alias: str) -> str:
    """The object that says which version an alias names."""
    return f"{ROOT}/aliases/{alias}.json"

"""Lineage: from one prediction id back to the images and the code that made it."""

import time
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import Any

from skin_platform.core.datasets import DatasetRow, canonical_manifest, dataset_digest
from skin_platform.serving.bento_store import PackingError, bento_folder
from skin_platform.serving.bundle import provenance_of
from skin_platform.settings import Settings
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.stores import Stores


class LineageError(LookupError):
    """A link of the chain is missing; the message says which."""


@dataclass(frozen=True)
class Trace:
    """The chain of one prediction. ``dataset_digest`` was recomputed from the manifest's rows, and agreed."""

    prediction_id: str
    predicted_at: str
    image_sha256: str
    label: str
    bundle: str
    model_version: str
    checkpoint_sha256: str
    weights_sha256: str
    checkpoint: str
    dataset_digest: str
    dataset_images: int
    training_images: int
    code_version: str
    dagster_run_id: str
    mlflow_run_id: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


@dataclass(frozen=True)
class TracedImages:
    """The rows of the dataset, those learnt from, and the canonical text that hashes to the digest."""

    rows: tuple[DatasetRow, ...]
    training: tuple[DatasetRow, ...]
    manifest: str


def trace_prediction(prediction_id: str, settings: Settings, wait_seconds: float = 0.0) -> tuple[Trace, TracedImages]:
    """The chain of ``prediction_id``, each link checked against the next.

    Waits up to ``wait_seconds`` for a prediction that was made just now. Raises ``LineageError``.
    """
    row = _prediction(prediction_id, settings, wait_seconds)
    stores = Stores(settings)
    provenance = _provenance(row, stores)
    for name in ("checkpoint_sha256", "dataset_digest"):
        if provenance[name] != row[name]:
            raise LineageError(f"the prediction's {name} is {row[name]}, its bundle's is {provenance[name]}")
    rows = stores.datasets.read(provenance["dataset_digest"])
    if dataset_digest(rows) != provenance["dataset_digest"]:
        raise LineageError(f"the manifest does not hash to {provenance['dataset_digest']}")
    key = provenance["checkpoint_key"]
    stores.models.read(key, provenance["checkpoint_sha256"])
    training = tuple(row for row in rows if row.split == settings.dataset.train_split)
    trace = Trace(
        prediction_id, row["predicted_at"].replace(tzinfo=UTC).isoformat(), row["image_sha256"], row["label"], row["bundle"],
        row["model_version"], provenance["checkpoint_sha256"], provenance["weights_sha256"], f"s3://{settings.s3_bucket_models}/{key}",
        provenance["dataset_digest"], len(rows), len(training), provenance["code_version"],
        provenance["dagster_run_id"], provenance["mlflow_run_id"])
    return trace, TracedImages(tuple(rows), training, canonical_manifest(rows))


def _provenance(row: dict[str, Any], stores: Stores) -> dict[str, Any]:
    """Where the bundle of a prediction comes from: as its bento says, or as its version does where the bento is not here."""
    from skin_platform.defs.bundling import origin_of
    from skin_platform.defs.exported_model import provenance_of_version

    try:
        return provenance_of(bento_folder(row["bundle"], stores.settings.home.bentoml) / "src" / "bundle")
    except (PackingError, OSError, ValueError) as missing:
        try:
            version = row["model_version"]
            return asdict(provenance_of_version(version, origin_of(version, stores), stores))
        except KeyError as error:
            raise LineageError(f"{missing}, and {error.args[0]}") from None


def _prediction(prediction_id: str, settings: Settings, wait_seconds: float) -> dict[str, Any]:
    if not settings.home.root.is_dir():
        raise LineageError(f"{settings.home.root} does not exist: name the home of the prediction with --home")
    store = OnlineStore(settings.online_url)
    deadline = time.monotonic() + wait_seconds
    try:
        while True:
            row = store.prediction(prediction_id)
            if row is not None:
                return row
            if time.monotonic() >= deadline:
                raise LineageError(f"no prediction {prediction_id} in {settings.online_url.split('@')[-1]}")
            time.sleep(0.1)
    finally:
        store.dispose()

"""Lineage: from one prediction id back to the images and the code that made it.

Here: the chain with the object store at hand, each link verified. Not here: what a bundle alone can show (``serving.chain``),
and what the object store alone can (``lineage_links``); the way from an image on (``image_lineage``).
"""

import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from skin_platform.core.datasets import DatasetRow, canonical_manifest
from skin_platform.core.opinions import opinions
from skin_platform.lineage_links import each_once, links_in_store
from skin_platform.serving.bundle import Provenance
from skin_platform.serving.chain import Link, bundle_of, links
from skin_platform.settings import Settings
from skin_platform.storage.objects import parse_uri
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool
from skin_platform.storage.stores import Stores


class LineageError(LookupError):
    """A link of the chain is missing or does not hold; the message says which."""


@dataclass(frozen=True)
class Trace:
    """The chain of one prediction; ``links`` says of each step how it was verified just now.

    ``feedback`` is what people said of it that has reached the database, each with ``counts`` (``core.opinions``).
    """

    prediction_id: str
    predicted_at: str
    image_sha256: str
    label: str
    bundle: str
    model_version: str
    checkpoint_sha256: str
    weights_sha256: str
    checkpoint: str
    evaluation_sha256: str
    evaluated_on: str
    accuracy: float
    dataset_digest: str
    dataset_images: int
    training_images: int
    code_version: str
    dagster_run_id: str
    mlflow_run_id: str
    feedback: tuple[dict[str, Any], ...]
    links: tuple[Link, ...]

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

    Waits up to ``wait_seconds`` for a prediction that was made just now. Raises ``LineageError``, and ``OnlineStoreError``
    where the database does not answer.
    """
    row = _prediction(prediction_id, settings, wait_seconds)
    if row["model_version"] is None or row["label"] is None:
        raise LineageError(f"prediction {prediction_id} was refused ({row['code']}): no model answered, and there is no chain")
    stores = Stores(settings)
    bundle = bundle_of(row, settings)
    origin = bundle.provenance if bundle else _provenance(row, stores)
    try:
        rows = stores.datasets.read(origin.dataset_digest)
    except (KeyError, ValueError) as error:
        raise LineageError(str(error.args[0])) from None
    found = each_once([*links(row, bundle), *links_in_store(row, origin, stores)])
    for link in found:
        if link.is_verified is False:
            raise LineageError(f"the link {link.link} of prediction {prediction_id} does not hold: {link.how}")
    training = tuple(item for item in rows if item.split == settings.dataset.train_split)
    return _trace(row, origin, (len(rows), len(training)), found, settings), TracedImages(
        tuple(rows), training, canonical_manifest(rows))


def missing_objects(rows: tuple[DatasetRow, ...], stores: Stores) -> list[str]:
    """The SHA-256s of those rows whose object is gone; asks for a list of the images' buckets, and for nothing else."""
    there: dict[str, set[str]] = {}
    missing = []
    for row in rows:
        bucket, key = parse_uri(row.s3_uri)
        if bucket not in there:
            there[bucket] = {item.key for item in stores.objects.list_objects(bucket)}
        if key not in there[bucket]:
            missing.append(row.sha256)
    return missing


def _trace(
    row: dict[str, Any], origin: Provenance, images: tuple[int, int], found: list[Link], settings: Settings
) -> Trace:
    at = row["predicted_at"]
    return Trace(
        prediction_id=row["prediction_id"], predicted_at=at.isoformat() if isinstance(at, datetime) else at,
        image_sha256=row["image_sha256"], label=row["label"], bundle=row["bundle"], model_version=row["model_version"],
        checkpoint_sha256=origin.checkpoint_sha256, weights_sha256=origin.weights_sha256,
        checkpoint=f"s3://{settings.s3_bucket_models}/{origin.checkpoint_key}", evaluation_sha256=origin.report_sha256,
        evaluated_on=origin.evaluated_on, accuracy=origin.accuracy, dataset_digest=origin.dataset_digest,
        dataset_images=images[0], training_images=images[1], code_version=origin.code_version,
        dagster_run_id=origin.dagster_run_id, mlflow_run_id=origin.mlflow_run_id,
        feedback=_feedback(row["prediction_id"], settings), links=tuple(found))


def _feedback(prediction_id: str, settings: Settings) -> tuple[dict[str, Any], ...]:
    store = OnlineStore(settings.online_url)
    try:
        return tuple(opinions(store.feedback(prediction_id)))
    finally:
        store.dispose()


def _provenance(row: dict[str, Any], stores: Stores) -> Provenance:
    """Where the bundle of a prediction comes from, as its version says where the bundle itself is not here any more."""
    from skin_platform.defs.bundling import BundleFault, origin_of
    from skin_platform.defs.exported_model import provenance_of_version

    version = row["model_version"]
    try:
        return provenance_of_version(version, origin_of(version, stores), stores)
    except (KeyError, BundleFault) as error:
        raise LineageError(f"neither the bundle {row['bundle']} is here nor can its version tell: {error.args[0]}") from None


def _prediction(prediction_id: str, settings: Settings, wait_seconds: float) -> dict[str, Any]:
    """The row of a prediction, from the database or on its way there."""
    if not settings.home.root.is_dir():
        raise LineageError(f"{settings.home.root} does not exist: name the home of the prediction with --home")
    deadline = time.monotonic() + wait_seconds
    store = OnlineStore(settings.online_url)
    try:
        while True:
            # in this order, since it moves from the one to the other
            row = _waiting(prediction_id, settings) or store.prediction(prediction_id)
            if row is not None:
                return row
            if time.monotonic() >= deadline:
                raise LineageError(f"no prediction {prediction_id} in {store.shown_url}")
            time.sleep(0.1)
    finally:
        store.dispose()


def _waiting(prediction_id: str, settings: Settings) -> dict[str, Any] | None:
    if not settings.home.spool.is_file():
        return None
    with closing(Spool(settings.home.spool, settings.skin_spool_bytes)) as spool:
        return spool.find("prediction", prediction_id)

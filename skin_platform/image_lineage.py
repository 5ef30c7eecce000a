"""The lineage of an image: what came of it, from its delivery to the answers that were given on it.

Here: where an image is and was. Not here: the way back from a prediction (``lineage``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow.compute as pc

from skin_platform.lineage import LineageError
from skin_platform.serving.bundle import BENTO_NAME
from skin_platform.serving.bundle_files import provenance_of
from skin_platform.settings import Settings
from skin_platform.storage.objects import parse_uri
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.stores import Stores

DELIVERED = ("batch_id", "label", "split", "ingested_at", "delivered_sha256", "s3_uri", "group_id", "exclusion", "erased_at")
ANSWERED = ("prediction_id", "predicted_at", "model_version", "label", "outcome", "is_image_kept")


@dataclass(frozen=True)
class ImageTrace:
    """What came of one image, by the SHA-256 of its stored bytes.

    ``deliveries`` are its rows of the catalogue, ``object`` is where its bytes lie (empty: nowhere any more), ``datasets`` the
    versions that hold it, with its label and split there, ``models`` those that learnt from it or were judged on it,
    ``bundles`` those here that carry it as a golden image, ``predictions`` the answers given on it.
    """

    sha256: str
    object: str
    deliveries: tuple[Mapping[str, Any], ...]
    datasets: tuple[Mapping[str, Any], ...]
    models: tuple[Mapping[str, Any], ...]
    bundles: tuple[str, ...]
    predictions: tuple[Mapping[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def trace_image(sha256: str, settings: Settings) -> ImageTrace:
    """What came of the image with this SHA-256, of its stored bytes or of the file as delivered.

    Raises ``LineageError`` where nothing here knows it, ``OnlineStoreError`` where the database does not answer.
    """
    if not settings.home.root.is_dir():
        raise LineageError(f"{settings.home.root} does not exist: name the home of the image with --home")
    stores, wanted = Stores(settings), sha256.strip().lower()
    deliveries = _deliveries(wanted, stores)
    stored = str(deliveries[0]["sha256"]) if deliveries else wanted
    datasets = _datasets(stored, stores)
    predictions = _predictions(stored, settings)
    if not (deliveries or datasets or predictions):
        raise LineageError(f"no image {sha256} is known here: no delivery, dataset or prediction has it. Give the 64 digits of "
                           "the SHA-256 of a stored image or of a file as it was delivered")
    return ImageTrace(stored, _object_of(deliveries, stores), deliveries, datasets, _models(datasets, stores),
                      _bundles(stored, settings), predictions)


def _deliveries(sha256: str, stores: Stores) -> tuple[dict[str, Any], ...]:
    asked = (f"SELECT sha256, {', '.join(DELIVERED)} FROM lesions_data WHERE sha256 = ? OR delivered_sha256 = ? "
             "ORDER BY ingested_at")
    found = stores.catalogue.query(asked, [sha256, sha256])
    return tuple(found.to_pylist()) if found is not None else ()


def _datasets(sha256: str, stores: Stores) -> tuple[dict[str, Any], ...]:
    """The frozen versions that hold the image, oldest first."""
    found = []
    for version in reversed(stores.datasets.list()):
        manifest = stores.datasets.manifest(version.digest)
        for row in manifest.filter(pc.equal(manifest["sha256"], sha256)).to_pylist():
            found.append({"digest": version.digest, "frozen_at": version.came.created_at, "label": row["label"],
                          "split": row["split"], "locked": row["split"] == version.came.locked_split})
    return tuple(found)


def _models(datasets: Sequence[Mapping[str, Any]], stores: Stores) -> tuple[dict[str, Any], ...]:
    """The model versions of those datasets, oldest first, and what each did with the image."""
    splits, words = {of["digest"]: of["split"] for of in datasets}, stores.settings.dataset
    roles = {words.train_split: "learnt from", words.validation_split: "calibrated on"}
    found = []
    for version in reversed(stores.versions.described()):
        split = splits.get(version.manifest.get("dataset_digest", ""))
        if split is not None:
            scored = (version.manifest.get("score") or {}).get("split") == split
            found.append({"version": version.version, "role": "scored on" if scored else roles.get(split, "held back"),
                          "dataset_digest": version.manifest["dataset_digest"], "aliases": list(version.aliases)})
    return tuple(found)


def _bundles(sha256: str, settings: Settings) -> tuple[str, ...]:
    """The tags of the bentos here that hold the image itself."""
    bentos = settings.home.bentoml / "bentos" / BENTO_NAME
    carrying = [path.parents[1] for path in sorted(bentos.glob(f"*/src/bundle/golden/{sha256}"))]
    return tuple(f"{BENTO_NAME}:{provenance_of(folder)['model_version']}" for folder in carrying)


def _predictions(sha256: str, settings: Settings) -> tuple[dict[str, Any], ...]:
    """The answers given on the image that have reached the database, newest first."""
    store = OnlineStore(settings.online_url)
    try:
        return tuple({name: row[name] for name in ANSWERED} | {"predicted_at": row["predicted_at"].isoformat()}
                     for row in store.predictions(image_sha256=sha256))
    finally:
        store.dispose()


def _object_of(deliveries: Sequence[Mapping[str, Any]], stores: Stores) -> str:
    """Where the bytes lie, as far as they do."""
    for uri in dict.fromkeys(row["s3_uri"] for row in deliveries if row["s3_uri"]):
        if stores.objects.object_exists(*parse_uri(uri)):
            return str(uri)
    return ""

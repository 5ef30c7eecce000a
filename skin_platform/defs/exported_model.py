"""The exported model: what a bundle is made of, from the files of a version and the images of its dataset.

Here: the model as ONNX with the images that prove that it answers as its checkpoint did. Not here: when it is asked for, and
the bento (``defs.bundling``).
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from contextlib import suppress

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.references import EvaluationReference
from skin_platform.serving.bundle import Bundle, BundleError, GoldenImage, Provenance
from skin_platform.storage.stores import Stores

GOLDEN_IMAGES = 8  # answered at every start, about 5 ms each


def exported_model(version: str, origin: EvaluationReference, card: str, stores: Stores) -> Bundle:
    """The bundle of a version, made of what the object store has; raises ``BundleError``, ``KeyError`` and ``StorageError``."""
    from skin_platform.ml.checkpoints import load_checkpoint
    from skin_platform.ml.export import to_onnx
    from skin_platform.ml.predictor import Predictor
    from skin_platform.serving.engine import Engine

    data = stores.versions.download_model(version)
    if hashlib.sha256(data).hexdigest() != origin.checkpoint.sha256:
        raise BundleError("its origin.json is of another checkpoint than its model.ckpt: materialize registry/model_version")
    checkpoint = load_checkpoint(data)
    golden = list(itertools.islice(_golden_images(origin.checkpoint.dataset.digest, stores), GOLDEN_IMAGES))
    answers = Predictor(checkpoint).probabilities([image for _, image in golden], origin.calibration.temperature)
    bundle = Bundle(
        to_onnx(checkpoint), checkpoint.labels, checkpoint.preprocessing, origin.calibration,
        provenance_of_version(version, origin, stores),
        tuple(GoldenImage(sha256, image, tuple(float(p) for p in row))
              for (sha256, image), row in zip(golden, answers, strict=True)), card)
    fault = Engine(bundle).golden_fault()
    if fault:
        raise BundleError(f"the exported model does not answer as its checkpoint did: {fault}. Train anew")
    return bundle


def provenance_of_version(version: str, origin: EvaluationReference, stores: Stores) -> Provenance:
    """Where the bundle of a version comes from, but for the files and the code that are packed."""
    checkpoint = origin.checkpoint
    return Provenance(
        model_version=version, created_at=stores.versions.read_manifest(version)["created_at"], checkpoint_key=checkpoint.key,
        checkpoint_sha256=checkpoint.sha256, weights_sha256=checkpoint.weights_sha256,
        dataset_digest=checkpoint.dataset.digest, dataset_images=dict(checkpoint.dataset.images),
        code_version=checkpoint.code_version, dagster_run_id=checkpoint.dagster_run_id,
        mlflow_run_id=checkpoint.mlflow_run_id, accuracy=origin.accuracy, macro_f1=origin.macro_f1)


def _golden_images(digest: str, stores: Stores) -> Iterator[tuple[str, bytes]]:
    """Images of the validation split with their SHA-256: the first of each label, then the second…; those that are there."""
    split = stores.settings.dataset.validation_split
    for row in _label_by_label(row for row in stores.datasets.read(digest) if row.split == split):
        with suppress(KeyError):  # the object is gone, so that another image speaks for its label
            yield row.sha256, stores.cache.image(row.sha256, row.s3_uri)


def _label_by_label(rows: Iterable[DatasetRow]) -> list[DatasetRow]:
    ordered = sorted(rows, key=lambda row: (row.label, row.sha256))
    ranked = [(rank, label, row) for label, found in itertools.groupby(ordered, key=lambda row: row.label)
              for rank, row in enumerate(found)]
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])]

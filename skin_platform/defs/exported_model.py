"""The exported model: what a bundle is made of, from the files of a version and the images of its dataset.

Here: the model as ONNX with the images that prove that it answers as its checkpoint did. Not here: when it is asked for, and
the bento (``defs.bundling``).
"""

import gzip
import hashlib
import itertools
from collections.abc import Iterable, Iterator
from contextlib import suppress

from skin_platform.core.consent import NO_CONSENT, UNCLEAR
from skin_platform.core.datasets import DatasetRow, canonical_manifest
from skin_platform.core.ood import OutOfDistribution
from skin_platform.core.references import EvaluationReference
from skin_platform.serving.bundle import Bundle, GoldenImage, Provenance
from skin_platform.serving.bundle_files import EVALUATION, OOD, BundleError
from skin_platform.storage.stores import Stores

GOLDEN_IMAGES = 8  # answered at every start, about 5 ms each


def exported_model(version: str, origin: EvaluationReference, stores: Stores) -> Bundle:
    """The bundle of a version, made of what the object store has, without model card and verdicts on its precisions.

    Raises ``BundleError``, ``KeyError`` and ``StorageError``.
    """
    from skin_platform.ml.checkpoints import load_checkpoint
    from skin_platform.ml.export import to_onnx
    from skin_platform.ml.predictor import Predictor
    from skin_platform.serving.engine import Engine

    data = stores.versions.download_model(version)
    if hashlib.sha256(data).hexdigest() != origin.checkpoint.sha256:
        raise BundleError("its origin.json is of another checkpoint than its model.ckpt: materialize registry/model_version")
    checkpoint = load_checkpoint(data)
    rows = stores.datasets.read(origin.checkpoint.dataset.digest)
    golden = list(itertools.islice(golden_images(rows, stores), GOLDEN_IMAGES))
    answers = Predictor(checkpoint).probabilities([image for _, image in golden], origin.calibration.temperature)
    bundle = Bundle(
        to_onnx(checkpoint), checkpoint.labels, checkpoint.preprocessing, origin.calibration,
        provenance_of_version(version, origin, stores),
        tuple(GoldenImage(sha256, image, tuple(float(p) for p in row))
              for (sha256, image), row in zip(golden, answers, strict=True)),
        ood=_detector(version, origin, stores), evaluation=_figures(version, origin, stores),
        manifest=gzip.compress(canonical_manifest(rows).encode(), mtime=0))
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
        mlflow_run_id=checkpoint.mlflow_run_id, accuracy=origin.accuracy, macro_f1=origin.macro_f1,
        report_sha256=origin.report_sha256, evaluated_on=origin.split)


def is_exported_from(bundle: Bundle, origin: EvaluationReference, stores: Stores) -> bool:
    """Whether exporting the version anew would give this bundle, as far as can be told without doing it.

    It does not where an image that it carries was withdrawn since: the one that is exported anew carries others.
    """
    provenance, detector = bundle.provenance, hashlib.sha256(bundle.ood.as_npz()).hexdigest() if bundle.ood else ""
    found = provenance.checkpoint_sha256, provenance.report_sha256, bundle.calibration, detector
    if found != (origin.checkpoint.sha256, origin.report_sha256, origin.calibration, origin.ood_sha256):
        return False
    return not withdrawn(stores) & {image.sha256 for image in bundle.golden}


def withdrawn(stores: Stores) -> set[str]:
    """The SHA-256s of the images that their patients, or whoever delivered them, no longer let be used."""
    found = stores.catalogue.query(
        f"SELECT DISTINCT sha256 FROM lesions_data WHERE erased_at IS NOT NULL OR exclusion IN ('{NO_CONSENT}', '{UNCLEAR}')")
    return set(found["sha256"].to_pylist()) if found is not None else set()


def _detector(version: str, origin: EvaluationReference, stores: Stores) -> OutOfDistribution | None:
    """The version's detector; None for one that has none, as from before there were any."""
    if not origin.ood_sha256:
        return None
    return OutOfDistribution.from_npz(stores.versions.read_file(version, OOD, origin.ood_sha256))


def _figures(version: str, origin: EvaluationReference, stores: Stores) -> bytes:
    """The figures of its evaluation as they are stored; empty where the version has lost them."""
    try:
        return stores.versions.read_file(version, EVALUATION, origin.report_sha256)
    except KeyError:
        return b""


def golden_images(rows: Iterable[DatasetRow], stores: Stores) -> Iterator[tuple[str, bytes]]:
    """Images of the validation split with their SHA-256: the first of each label, then the second…; those that are there, and
    were not withdrawn."""
    split, gone = stores.settings.dataset.validation_split, withdrawn(stores)
    for row in _label_by_label(row for row in rows if row.split == split and row.sha256 not in gone):
        with suppress(KeyError):  # the object is gone, so that another image speaks for its label
            yield row.sha256, stores.cache.image(row.sha256, row.s3_uri)


def _label_by_label(rows: Iterable[DatasetRow]) -> list[DatasetRow]:
    ordered = sorted(rows, key=lambda row: (row.label, row.sha256))
    ranked = [(rank, label, row) for label, found in itertools.groupby(ordered, key=lambda row: row.label)
              for rank, row in enumerate(found)]
    return [row for _, _, row in sorted(ranked, key=lambda item: item[:2])]

"""Assets of the room ``bundles``: the bento, and the export beside it."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from skin_platform.core.references import BundleReference, EvaluationReference
from skin_platform.defs.resources import StoresResource
from skin_platform.serving.bundle import Bundle, GoldenImage, Provenance
from skin_platform.storage.stores import Stores

GOLDEN_IMAGES = 8  # answered at every start, about 5 ms each


@dg.asset(
    key=["bundles", "lesion_classifier"], group_name="bundles", owners=["team:ml"], kinds={"bentoml", "onnx"},
    ins={"evaluated": dg.AssetIn(key=["checkpoints", "evaluation"])},
)
def lesion_classifier(
    context: dg.AssetExecutionContext, evaluated: EvaluationReference, stores: StoresResource
) -> dg.MaterializeResult[BundleReference]:
    """A self-contained bento: model, preprocessing, labels, signature, calibration, provenance and golden images."""
    from skin_platform.serving.engine import Engine
    from skin_platform.serving.packing import PackingError, pack

    opened = stores.open()
    bundle = _bundle(evaluated, opened)
    fault = Engine(bundle).golden_fault()
    if fault:
        raise dg.Failure(f"the exported model does not answer as the checkpoint did: {fault}", allow_retries=False)
    try:
        tag, sha256 = pack(bundle, opened.settings.home.bentoml)
    except PackingError as error:
        raise dg.Failure(str(error)) from error
    context.log.info("built %s", tag)
    checkpoint = evaluated.checkpoint
    return dg.MaterializeResult(value=BundleReference(tag, sha256, evaluated), metadata={
        "bento": tag, "bundle_sha256": sha256, "checkpoint_sha256": checkpoint.sha256,
        "dataset_digest": checkpoint.dataset.digest, "labels": ", ".join(bundle.labels), "accuracy": evaluated.accuracy,
        "golden_images": len(bundle.golden), "onnx_bytes": len(bundle.model), "serve": dg.MetadataValue.text("make serve"),
    })


@dg.asset(
    key=["bundles", "export"], group_name="bundles", owners=["team:ml"], kinds={"file"},
    ins={"bundle": dg.AssetIn(key=["bundles", "lesion_classifier"])},
)
def export(
    context: dg.AssetExecutionContext, bundle: BundleReference, stores: StoresResource
) -> dg.MaterializeResult[BundleReference]:
    """The bundle's files in `runs/skin5-current/`, replaced in one step; `make serve` serves what it names."""
    from skin_platform.serving.packing import bento_folder

    home = stores.open().settings.home
    version = bundle.tag.partition(":")[2]
    folder = replace_export(bento_folder(bundle.tag, home.bentoml) / "src" / "bundle", home.export, version)
    context.log.info("%s -> %s", home.export, folder.name)
    return dg.MaterializeResult(value=bundle, metadata={
        "path": dg.MetadataValue.path(str(home.export)), "bento": bundle.tag, "bundle_sha256": bundle.bundle_sha256,
        "files": ", ".join(sorted(path.name for path in folder.iterdir())),
    })


def replace_export(source: Path, current: Path, version: str) -> Path:
    """Copy ``source`` beside the link ``current`` and point the link to it; a reader sees the old or the new, whole."""
    folder = current.parent / version
    partial = current.parent / f".{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    if folder.exists():
        shutil.rmtree(partial)
    else:
        os.replace(partial, folder)
    link = current.parent / f".{current.name}.link"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.name)
    os.replace(link, current)
    return folder


def _bundle(evaluated: EvaluationReference, stores: Stores) -> Bundle:
    from skin_platform.ml.checkpoints import load_checkpoint
    from skin_platform.ml.export import to_onnx
    from skin_platform.ml.predictor import Predictor

    reference = evaluated.checkpoint
    checkpoint = load_checkpoint(stores.models.read(reference.key, reference.sha256))
    golden = _golden_images(reference.dataset.digest, stores)
    answers = Predictor(checkpoint).probabilities([data for _, data in golden], evaluated.calibration.temperature)
    now = _free_version(stores.settings.home.bentoml)
    provenance = Provenance(
        model_version=now.strftime("v%Y%m%d_%H%M%S"), created_at=now.isoformat(), checkpoint_key=reference.key,
        checkpoint_sha256=reference.sha256, weights_sha256=reference.weights_sha256,
        dataset_digest=reference.dataset.digest, dataset_images=dict(reference.dataset.images),
        code_version=reference.code_version, dagster_run_id=reference.dagster_run_id,
        mlflow_run_id=reference.mlflow_run_id, accuracy=evaluated.accuracy, macro_f1=evaluated.macro_f1)
    return Bundle(
        to_onnx(checkpoint), checkpoint.labels, checkpoint.preprocessing, evaluated.calibration, provenance,
        tuple(GoldenImage(sha256, data, tuple(float(p) for p in row))
              for (sha256, data), row in zip(golden, answers, strict=True)))


def _golden_images(digest: str, stores: Stores) -> list[tuple[str, bytes]]:
    """Held-back images, of as many labels as fit: the first of each label in turn."""
    split = stores.settings.dataset.validation_split
    held = [row for row in stores.datasets.read(digest) if row.split == split]
    rank = {row.sha256: sum(r.label == row.label and r.sha256 < row.sha256 for r in held) for row in held}
    chosen = sorted(held, key=lambda row: (rank[row.sha256], row.label))[:GOLDEN_IMAGES]
    return [(row.sha256, stores.cache.image(row.sha256, row.s3_uri)) for row in chosen]


def _free_version(bentoml_home: Path) -> datetime:
    """Now, or the first later second that no bento has taken as its version."""
    moment = datetime.now(UTC).replace(microsecond=0)
    while (bentoml_home / "bentos" / "lesion_classifier" / moment.strftime("v%Y%m%d_%H%M%S")).exists():
        moment += timedelta(seconds=1)
    return moment

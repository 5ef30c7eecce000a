"""Assets of the room ``bundles``: the bento of every version, and the champion's files beside them.

Here: what is told of them. Not here: how they come about (``defs.bundling``).
"""

import dagster as dg

from skin_platform.core.references import BundleReference, ModelVersionReference
from skin_platform.defs.bundling import BundleFault, ensure_bundle, export_challenger, export_champion
from skin_platform.defs.resources import StoresResource
from skin_platform.serving.bento_store import bento_folder
from skin_platform.serving.bundle_files import read_bundle
from skin_platform.serving.exporting import read_promotion
from skin_platform.serving.footprint import footprint
from skin_platform.serving.packing import REQUIREMENTS


@dg.asset(
    key=["bundles", "lesion_classifier"], group_name="bundles", owners=["team:ml"], kinds={"bentoml", "onnx"},
    ins={"registered": dg.AssetIn(key=["registry", "model_version"])}, deps=[dg.AssetKey(["registry", "model_card"])],
)
def lesion_classifier(
    context: dg.AssetExecutionContext, registered: ModelVersionReference, stores: StoresResource
) -> dg.MaterializeResult[BundleReference]:
    """A self-contained bento: model, preprocessing, labels, signature, calibration, model card, provenance, golden images."""
    opened = stores.open()
    try:
        reference = ensure_bundle(registered.version, opened)
    except BundleFault as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    export_challenger(opened)  # here, since a refused one stops the run before `export`, and may answer in the shadow
    bundle = read_bundle(bento_folder(reference.tag, opened.settings.home.bentoml) / "src" / "bundle")
    provenance = bundle.provenance
    context.log.info("%s holds model version %s", reference.tag, reference.version)
    return dg.MaterializeResult(value=reference, metadata={
        "bento": reference.tag, "model_version": reference.version, "bundle_sha256": reference.bundle_sha256,
        "checkpoint_sha256": provenance.checkpoint_sha256, "dataset_digest": provenance.dataset_digest,
        "serving_code_sha256": provenance.serving_code_sha256, "labels": ", ".join(bundle.labels),
        "accuracy": provenance.accuracy, "golden_images": len(bundle.golden), "onnx_bytes": len(bundle.model),
        "precisions": ", ".join(f"{found.name} {'refused' if found.against else 'passed'}" for found in bundle.precisions)
        or "f32 alone", "model_card": bool(bundle.model_card), "environment": footprint(REQUIREMENTS).told,
        "flags_images_of_another_kind_at": bundle.ood.level_in_force if bundle.ood else "no detector",
    })


@dg.asset(
    key=["bundles", "export"], group_name="bundles", owners=["team:ml"], kinds={"file"},
    deps=[dg.AssetKey(["registry", "champion"]), dg.AssetKey(["bundles", "lesion_classifier"])],
)
def export(context: dg.AssetExecutionContext, stores: StoresResource) -> dg.MaterializeResult[None]:
    """The champion's files in `runs/skin5-current/`, replaced in one step, where a running service takes them up.

    Beside it, in `runs/skin5-challenger/`, the challenger's, which answers in the champion's shadow.
    """
    opened = stores.open()
    version, challenger = export_champion(opened), export_challenger(opened)
    current = opened.settings.home.export
    promotion = read_promotion(current)
    if version is None or promotion is None:
        context.log.info("nothing has been promoted yet: %s names nothing", current)
        return dg.MaterializeResult(metadata={"champion": "nothing has been promoted yet: `skin models promote`"})
    context.log.info("%s names model version %s", current, version)
    return dg.MaterializeResult(metadata={
        "champion": version, "challenger": challenger or "none", "promotion": promotion.kind, "by": promotion.by,
        "why": promotion.why, "since": promotion.at,
        "path": dg.MetadataValue.path(str(current)), "serve": dg.MetadataValue.text("make serve"),
        "files": ", ".join(sorted(path.name for path in current.iterdir())),
    })

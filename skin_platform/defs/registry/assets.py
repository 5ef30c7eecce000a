"""Assets of the room ``registry``: versions, the verdict on them, and the one that answers."""

import dagster as dg

from skin_platform.core.references import ChampionReference, EvaluationReference, ModelVersionReference, VerdictReference
from skin_platform.defs.resources import StoresResource
from skin_platform.defs.showing import table

REGISTRY_POOL = "registry"  # a verdict is on the champion of its moment: one at a time


@dg.asset(
    key=["registry", "model_version"], group_name="registry", owners=["team:ml"], kinds={"s3", "mlflow"},
    ins={"evaluation": dg.AssetIn(key=["checkpoints", "evaluation"])}, pool=REGISTRY_POOL,
)
def model_version(
    context: dg.AssetExecutionContext, evaluation: EvaluationReference, stores: StoresResource
) -> dg.MaterializeResult[ModelVersionReference]:
    """An evaluated checkpoint under a name that stays, with its evidence and a verdict against the present champion."""
    from mlflow import MlflowException

    from skin_platform.defs.registry.judging import judge_version, read_judgement
    from skin_platform.defs.registry.registering import register
    from skin_platform.defs.registry.telling import tell_registry

    opened = stores.open()
    by = f"Dagster run {context.run_id}"
    version = register(evaluation, opened, by)
    judge_version(version, opened, by)
    judgement = read_judgement(version, opened)  # the champion keeps the one that it was promoted on
    try:
        tell_registry(opened)
    except (MlflowException, OSError) as error:
        context.log.warning("MLflow's registry does not know %s yet (%s): registry_sensor tells it later", version,
                            (str(error) or type(error).__name__).splitlines()[0])
    champion = judgement.record["champion"]
    return dg.MaterializeResult(
        value=ModelVersionReference(version, evaluation, judgement.sha256), metadata={
            "version": version, "object": f"skin_classifier/{version}/", "aliases": ", ".join(
                alias for alias, named in opened.versions.aliases().items() if named == version),
            "judged_against": champion["version"] if champion else "no champion yet",
            "verdict": "would be promoted" if not judgement.blocks else "refused", "verdict_sha256": judgement.sha256,
            "checkpoint_sha256": evaluation.checkpoint.sha256, "dataset_digest": evaluation.checkpoint.dataset.digest,
            "evidence_sha256": evaluation.evidence_sha256})


@dg.asset(
    key=["registry", "verdict"], group_name="registry", owners=["team:ml"], kinds={"json"},
    ins={"version": dg.AssetIn(key=["registry", "model_version"])}, pool=REGISTRY_POOL,
)
def verdict(
    context: dg.AssetExecutionContext, version: ModelVersionReference, stores: StoresResource
) -> dg.MaterializeResult[VerdictReference]:
    """What each gate says of the version, as it stands in the store; a gate that blocks stops the graph here."""
    from skin_platform.defs.registry.judging import read_judgement

    judgement = read_judgement(version.version, stores.open(), version.verdict_sha256)
    rows = [{name: str(verdict[name]) for name in ("gate", "status", "blocks", "reason")} for verdict in judgement.verdicts]
    blocks = tuple(verdict["gate"] for verdict in judgement.blocks)
    return dg.MaterializeResult(
        value=VerdictReference(version.version, judgement.sha256, blocks), metadata={
            "version": version.version, "gates": table(rows, ["gate", "status", "blocks", "reason"]),
            "blocks": ", ".join(blocks) or "none", "floor": judgement.record["rules"]["floor"],
            "champion": str(judgement.record["champion"]), "verdict_sha256": judgement.sha256})


@dg.asset(
    key=["registry", "champion"], group_name="registry", owners=["team:ml"], kinds={"s3", "mlflow"},
    ins={"verdict": dg.AssetIn(key=["registry", "verdict"])}, deps=[["registry", "model_card"]], pool=REGISTRY_POOL,
)
def champion(
    context: dg.AssetExecutionContext, verdict: VerdictReference, stores: StoresResource
) -> dg.MaterializeResult[ChampionReference]:
    """The version that answers. It changes where the verdict, read anew from the store, has nothing against it."""
    from skin_platform.defs.registry.promoting import promote
    from skin_platform.defs.registry.reigns import NotPromotedError
    from skin_platform.storage.moves import MovedMeanwhileError

    opened = stores.open()
    try:
        move = promote(verdict.version, opened, by=f"Dagster run {context.run_id}", why="no gate has anything against it",
                       warn=context.log.warning, unattended=True)
    except (NotPromotedError, MovedMeanwhileError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info("%s answers since %s (%s by %s)", move.version, move.at, move.kind, move.by)
    return dg.MaterializeResult(
        value=ChampionReference(move.version, move.number, move.former), metadata={
            "version": move.version, "former": move.former or "none", "kind": move.kind, "by": move.by, "why": move.why,
            "since": move.at, "move": move.number})

"""Progress: what a training run tells its log, the asset's page and MLflow."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from skin_platform.ml.progress import Hooks, Progress

TOLD_EPOCHS = 10  # lines of a run's log at INFO; every epoch is at DEBUG and in MLflow
TOLD_SECONDS = 30.0  # between two lines on the progress within an epoch
OBSERVED_SECONDS = 60.0  # between two observations, which stay with the asset for good


def telling(context: dg.AssetExecutionContext, record: Callable[[dict[str, float]], None]) -> "Hooks":
    """Tells the run's log and the asset's page of progress, and the ``record`` that goes to MLflow of each epoch."""
    from skin_platform.ml.progress import Hooks

    def on_epoch(row: dict[str, float]) -> None:
        shown = row["epoch"] % max(1, row["epochs"] // TOLD_EPOCHS) == 0 or row["epoch"] in (1, row["epochs"])
        tell = context.log.info if shown else context.log.debug
        tell("epoch %d/%d: train loss %.3f, val loss %.3f, val accuracy %.3f, %.0f images/s", row["epoch"], row["epochs"],
             row["train_loss"], row["val_loss"], row["val_accuracy"], row["images_per_second"])
        record(row)

    logged = observed = time.monotonic()

    def on_progress(progress: "Progress") -> None:
        nonlocal logged, observed
        now = time.monotonic()
        if now - logged >= TOLD_SECONDS:
            logged = now
            context.log.info("epoch %d/%d, step %d/%d: loss %.3f, %.0f images/s, about %.0f s to go", progress.epoch,
                             progress.epochs, progress.step, progress.steps, progress.loss, progress.images_per_second,
                             progress.eta_seconds)
        if now - observed >= OBSERVED_SECONDS:
            observed = now
            context.log_event(dg.AssetObservation(context.asset_key, metadata=progress.as_dict()))

    return Hooks(on_epoch, on_progress, context.log.warning)

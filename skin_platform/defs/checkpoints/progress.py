"""Progress: what a training run tells its log and MLflow."""

from collections.abc import Callable

import dagster as dg

TOLD_EPOCHS = 10  # lines of a run's log at INFO; every epoch is at DEBUG and in MLflow


def teller(context: dg.AssetExecutionContext, record: Callable[[dict[str, float]], None]) -> Callable[[dict[str, float]], None]:
    """Tells the run's log, and the ``record`` that goes to MLflow, of each epoch."""

    def on_epoch(row: dict[str, float]) -> None:
        shown = row["epoch"] % max(1, row["epochs"] // TOLD_EPOCHS) == 0 or row["epoch"] in (1, row["epochs"])
        tell = context.log.info if shown else context.log.debug
        tell("epoch %d/%d: train loss %.3f, val loss %.3f, val accuracy %.3f, %.0f images/s", row["epoch"], row["epochs"],
             row["train_loss"], row["val_loss"], row["val_accuracy"], row["images_per_second"])
        record(row)

    return on_epoch

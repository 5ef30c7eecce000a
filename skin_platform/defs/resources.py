"""Resources: configuration in, ``open()`` gives a plain object that knows no Dagster.

Here: the stores and MLflow. Secrets are read from the environment when a resource is opened; none stands in its config.
"""

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from skin_platform.defs.burying import show_life
from skin_platform.defs.tracking_database import EXPERIMENT
from skin_platform.settings import Settings, load_settings
from skin_platform.storage.stores import Stores, prepare_home

if TYPE_CHECKING:
    from dagster_mlflow.resources import MlFlow



class StoresResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Everything that is kept under one ``SKIN_HOME`` and in its buckets."""

    home: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Show that the run's process lives, whoever launched it; see ``defs.burying``."""
        if context.instance is not None and context.run is not None and not context.instance.is_ephemeral:
            show_life(Path(context.instance.root_directory), context.run.run_id)

    def open(self) -> Stores:
        """The opened stores; reads ``dataset.yaml`` and the credentials now, so that changes take hold."""
        settings = load_settings(skin_home=Path(self.home))
        prepare_home(settings)
        return Stores(settings)


@dataclass(frozen=True)
class Tracking:
    """MLflow for one run: ``mlflow`` with an active run, or None where it does not answer, and ``fault`` says why."""

    mlflow: "MlFlow | None"
    fault: str = ""

    @property
    def run_id(self) -> str:
        """MLflow's id of the active run; empty where there is none."""
        active = self.mlflow.active_run() if self.mlflow is not None else None  # type: ignore[attr-defined]
        return str(active.info.run_id) if active is not None else ""


@dg.resource(
    config_schema={"experiment_name": str, "mlflow_tracking_uri": str},
    description="An MLflow run for each Dagster run, through dagster-mlflow",
)
def mlflow_run(context: dg.InitResourceContext) -> Iterator[Tracking]:
    """``dagster-mlflow``'s tracking resource, imported only where a run needs it; its legacy interface stays in here."""
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table that it creates
    try:
        tracking = Tracking(_begun(context))
    except (mlflow.MlflowException, OSError) as error:
        tracking = Tracking(None, (str(error) or type(error).__name__).splitlines()[0])
    try:
        yield tracking
    finally:
        if tracking.mlflow is not None:
            _end_open_runs()  # a training that went well has ended its run itself


def _begun(context: dg.InitResourceContext) -> "MlFlow":
    import mlflow

    from skin_platform.defs.tracking_database import experiment_in

    uri = context.resource_config["mlflow_tracking_uri"]
    experiment_in(uri)
    mlflow.set_tracking_uri(uri)
    _end_open_runs()  # MLflow would hand out a run that an earlier Dagster run of this process left open
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        from dagster_mlflow.resources import MlFlow

        run: MlFlow = MlFlow(context)  # type: ignore[no-untyped-call]
    return run


def _end_open_runs() -> None:
    """Record every MLflow run that is still active in this thread as failed, wherever it is kept."""
    import mlflow

    while mlflow.active_run() is not None:
        try:
            mlflow.end_run("FAILED")
        except mlflow.MlflowException as error:  # its tracking database is another, or gone; MLflow has let go of it by now
            logging.getLogger(__name__).warning("an MLflow run could not be ended: %s", error)


def default_resources(settings: Settings) -> dict[str, Any]:
    """The resources of a deployment with these settings."""
    from skin_platform.defs.references import ReferenceIOManager

    stores = StoresResource(home=str(settings.home.root))
    return {
        "stores": stores,
        "io_manager": ReferenceIOManager(stores=stores),
        "mlflow": mlflow_run.configured(
            {"experiment_name": EXPERIMENT, "mlflow_tracking_uri": settings.mlflow_uri}),
    }

"""MLflow's own database, made whole or not at all, and the experiment in it."""

import fcntl
import os
from pathlib import Path

SQLITE = "sqlite:///"
EXPERIMENT = "lesion_classifier"
PATIENCE = {  # with MLflow's own values a training would wait some minutes for a server that is down
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def experiment_in(uri: str) -> str:
    """The id of our experiment at ``uri``, made where there is none; its artifacts lie beside an SQLite database, else where
    the server keeps its own. Raises ``MlflowException`` or ``OSError`` where MLflow does not answer."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    make_tracking_database(uri)
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    beside = (Path(uri.removeprefix(SQLITE)).parent / "artifacts").as_uri() if uri.startswith(SQLITE) else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=beside))


def make_tracking_database(uri: str) -> None:
    """Create the SQLite database of ``uri`` beside its place and rename it into it; leaves any other ``uri`` alone.

    MLflow creates its tables in forty migrations. Killed among them, or run by two processes at once, they leave a database
    that no later run can open.
    """
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        partial = path.with_name(f".{path.name}.partial")
        partial.unlink(missing_ok=True)
        store = SqlAlchemyStore(f"{SQLITE}{partial}", (path.parent / "artifacts").as_uri())  # type: ignore[no-untyped-call]
        store.engine.dispose()
        os.replace(partial, path)

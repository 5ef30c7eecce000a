"""MLflow's own database: made whole or not at all."""

import fcntl
import os
from pathlib import Path

SQLITE = "sqlite:///"


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

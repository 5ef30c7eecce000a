"""The walk: runs the graph from the command line, on the same instance that the UI shows.

Here: executing jobs in this process and telling the caller which asset is being made. Not here: what is walked.
"""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError

from skin_platform.defs.burying import bury_killed_runs, walking
from skin_platform.defs.interrupts import Interrupts, Terminated
from skin_platform.defs.listening import Listener, Told, Walked
from skin_platform.defs.partitions import add_batches
from skin_platform.defs.places import patient_claims

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # the instance keeps the log; the caller tells


class WalkError(RuntimeError):
    """A run failed; the message is the reason of the step that failed. ``batches`` are those whose run it was, if any."""

    def __init__(self, reason: str, batches: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.batches = tuple(batches)


@contextmanager
def instance_in(dagster_home: Path) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a home, made where there is none yet."""
    make_instance(dagster_home)
    with dg.DagsterInstance.from_config(str(dagster_home)) as instance:
        bury_killed_runs(instance, dagster_home)
        yield instance


def make_instance(dagster_home: Path) -> None:
    """Create the instance's databases beside their place and rename them into it.

    Dagster creates its tables one by one; killed in between, the instance is neither new nor whole and asks for a migration.
    """
    if (dagster_home / "history").exists():
        return
    with tempfile.TemporaryDirectory(dir=dagster_home, prefix=".new-") as folder:
        shutil.copy2(dagster_home / "dagster.yaml", folder)
        with dg.DagsterInstance.from_config(folder):
            pass
        for name in ("schedules", "history"):  # history last: where it is, the rest is too
            with suppress(OSError):  # another process was faster, or a killed one left it behind: what is there is whole
                os.rename(Path(folder) / name, dagster_home / name)


def walk_batches(
    definitions: dg.Definitions, instance: dg.DagsterInstance, batch_ids: Sequence[str], tell: Callable[[Told], None]
) -> Walked:
    """Run ``ingest_batch`` for each batch; every refused batch is told, and raised once all had their turn."""
    add_batches(instance, batch_ids)
    walked = Walked()
    refused: dict[str, str] = {}
    for batch_id in batch_ids:
        try:
            _execute(definitions, instance, "ingest_batch", walked, tell, partition_key=batch_id)
        except WalkError as error:
            refused[batch_id] = str(error)
    if refused:
        raise WalkError("; ".join(refused.values()), list(refused))
    return walked


def walk_training(
    definitions: dg.Definitions, instance: dg.DagsterInstance, config: Mapping[str, Any], tell: Callable[[Told], None]
) -> Walked:
    """Run ``train_now`` with the given fields of the training config. A model that a gate refuses is no error: see
    ``Walked.refused_by``."""
    walked = Walked()
    ops = {"ops": {"checkpoints__lesion_classifier": {"config": dict(config)}}} if config else {}
    _execute(definitions, instance, "train_now", walked, tell, run_config=ops)
    return walked


def walk_job(definitions: dg.Definitions, instance: dg.DagsterInstance, job_name: str, tell: Callable[[Told], None]) -> Walked:
    """Run a job that takes no configuration."""
    walked = Walked()
    _execute(definitions, instance, job_name, walked, tell)
    return walked


def _execute(
    definitions: dg.Definitions, instance: dg.DagsterInstance, job_name: str, walked: Walked, tell: Callable[[Told], None],
    run_config: Mapping[str, Any] | None = None, partition_key: str | None = None,
) -> None:
    run_id = str(uuid.uuid4())
    job = definitions.resolve_job_def(job_name)
    listener = Listener({"/".join(key.path) for key in job.asset_layer.executable_asset_keys}, walked, tell)

    def on_event(entry: dg.EventLogEntry) -> None:
        interrupts.deliver_again()
        listener.hear(entry)

    instance.add_event_listener(run_id, on_event)
    walked.run_ids.append(run_id)
    # what is run again after a kill is run by whoever walks next, not by Dagster's retries
    tags = {"dagster/max_retries": "0", **({"skin/batch": partition_key} if partition_key else {})}
    with (walking(Path(instance.root_directory), run_id), Interrupts() as interrupts,
          patient_claims(instance, lambda: interrupts.came, tell)):
        try:
            result = job.execute_in_process(
                instance=instance, run_id=run_id, partition_key=partition_key, raise_on_error=False,
                run_config={**QUIET, **(run_config or {})}, tags=tags)
        except DagsterExecutionInterruptedError:
            raise Terminated if interrupts.came == signal.SIGTERM else KeyboardInterrupt from None
        if interrupts.came:
            raise Terminated if interrupts.came == signal.SIGTERM else KeyboardInterrupt
    if not result.success and (listener.failures or not listener.is_refusal):
        raise WalkError(next((reason for reason in listener.failures if reason), f"run {run_id} of {job_name} failed"))

"""Burying: runs whose process was killed are marked as failed, and give back what they held.

Dagster's default launcher does not look after runs that outlive its own processes: one that was killed stays "started"
for ever, and its place in a pool with it, so that every later run waits. A run of the command line holds a file lock while it
lives; the kernel drops the lock with the process, whatever killed it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

UNFINISHED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING,
              dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


class AlreadyRunningError(RuntimeError):
    """Another process holds the place that this one asks for."""


@contextmanager
def walking(dagster_home: Path, run_id: str) -> Iterator[None]:
    """Show that the process of ``run_id`` lives.

    Where the block is broken off, the mark stays for the next command to bury the run: what breaks off (a full disk, an
    interrupt) may have kept Dagster from noting the run's end and from giving its place in a pool back.
    """
    path = dagster_home / "walks" / run_id
    path.parent.mkdir(exist_ok=True)
    handle = _locked(path)
    if handle is None:
        raise AlreadyRunningError(f"run {run_id} is being walked by another process")
    try:
        yield
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def bury_killed_walks(instance: dg.DagsterInstance, dagster_home: Path) -> list[str]:
    """Mark the runs of killed command lines as failed; returns their ids."""
    buried = []
    for path in sorted((dagster_home / "walks").glob("*")):
        handle = _locked(path)
        if handle is not None:  # nobody holds it: its process is gone
            _bury(instance, path.name)
            path.unlink(missing_ok=True)
            os.close(handle)
            buried.append(path.name)
    return buried


def hold_daemon_place(instance: dg.DagsterInstance, dagster_home: Path) -> None:
    """Take the one place of `skin dev` on this home until the process (or what it becomes) ends; bury what a former one left.

    Raises ``AlreadyRunningError`` where another one holds it.
    """
    handle = _locked(dagster_home / "dev.lock")
    if handle is None:
        raise AlreadyRunningError(f"`skin dev` runs on {dagster_home.parent} already: stop it, or give another SKIN_HOME")
    os.set_inheritable(handle, True)
    bury_killed_walks(instance, dagster_home)
    alive = {path.name for path in (dagster_home / "walks").glob("*")}
    started = [status for status in UNFINISHED if status != dg.DagsterRunStatus.QUEUED]  # the queue takes up its own
    for run in instance.get_runs(dg.RunsFilter(statuses=started)):
        if run.run_id not in alive:
            _bury(instance, run.run_id)


def _bury(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "the process of this run was killed")
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def _locked(path: Path) -> int | None:
    """A handle that holds the lock of ``path``, or None where another process does."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle

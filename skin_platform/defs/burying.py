"""Burying: runs whose process was killed are marked as failed, and give back what they held.

Dagster's default launcher does not look after runs that outlive its own processes: one that was killed stays "started"
for ever, and its place in a pool with it, so that every later run waits. A run holds a file lock while its process lives,
whoever launched it; the kernel drops the lock with the process, whatever killed it.

Here: telling the living from the dead. Not here: waiting for those that live (``defs.places``).
"""

import fcntl
import os
import socket
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
    handle = _marked(dagster_home, run_id)
    if handle is None:
        raise AlreadyRunningError(f"run {run_id} is being walked by another process")
    try:
        yield
        _mark(dagster_home, run_id).unlink(missing_ok=True)
    finally:
        os.close(handle)


def show_life(dagster_home: Path, run_id: str) -> None:
    """Show that this process executes ``run_id``, until it ends. Nothing is done where a walk shows it already.

    For runs that Dagster launches: their end is noted after the last of our code has run, so that only the kernel can
    take the mark back in time; the file is cleared away by whoever comes next.
    """
    _marked(dagster_home, run_id)  # the handle is never closed: the kernel does it


def process_of(dagster_home: Path, run_id: str) -> str:
    """The process that executes a run, as ``<number> on <machine>``; empty where none shows itself."""
    try:
        return _mark(dagster_home, run_id).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def bury_killed_runs(instance: dg.DagsterInstance, dagster_home: Path) -> list[str]:
    """Mark the runs of killed processes as failed, and give back the places of runs that have ended; returns the ids of those
    that were marked."""
    buried = []
    for path in sorted((dagster_home / "walks").glob("*")):
        handle = _locked(path)
        if handle is not None:  # nobody holds it: its process is gone
            if _bury(instance, path.name):
                buried.append(path.name)
            path.unlink(missing_ok=True)
            os.close(handle)
    for run_id in _holders(instance):
        run = None if process_of(dagster_home, run_id) else instance.get_run_by_id(run_id)
        if run is not None and run.is_finished:  # cancelled by hand, say, after it was killed
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return buried


def hold_daemon_place(instance: dg.DagsterInstance, dagster_home: Path) -> None:
    """Take the one place of `skin dev` on this home until the process (or what it becomes) ends; bury what a former one left.

    Raises ``AlreadyRunningError`` where another one holds it.
    """
    handle = _locked(dagster_home / "dev.lock")
    if handle is None:
        raise AlreadyRunningError(f"`skin dev` runs on {dagster_home.parent} already: stop it, or give another SKIN_HOME")
    os.set_inheritable(handle, True)
    bury_killed_runs(instance, dagster_home)
    alive = {path.name for path in (dagster_home / "walks").glob("*")}
    started = [status for status in UNFINISHED if status != dg.DagsterRunStatus.QUEUED]  # the queue takes up its own
    for run in instance.get_runs(dg.RunsFilter(statuses=started)):
        if run.run_id not in alive:
            _bury(instance, run.run_id)


def _bury(instance: dg.DagsterInstance, run_id: str) -> bool:
    """End a run whose process is gone and free its places; whether it had not ended yet."""
    run = instance.get_run_by_id(run_id)
    is_new = run is not None and not run.is_finished
    if run is not None and is_new:
        instance.report_run_failed(run, "the process of this run was killed")
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return is_new


def _holders(instance: dg.DagsterInstance) -> set[str]:
    """The runs that hold a place in a pool, or wait for one."""
    storage = instance.event_log_storage
    pools = [storage.get_concurrency_info(pool) for pool in storage.get_concurrency_keys()]
    return {*(slot.run_id for pool in pools for slot in pool.claimed_slots),
            *(step.run_id for pool in pools for step in pool.pending_steps)}


def _mark(dagster_home: Path, run_id: str) -> Path:
    return dagster_home / "walks" / run_id


def _marked(dagster_home: Path, run_id: str) -> int | None:
    """A handle that holds the mark of a run, or None where it is held already.

    It is locked before it lies where others look: an unlocked mark is that of a dead process.
    """
    path, made = _mark(dagster_home, run_id), dagster_home / f".mark-{run_id}-{os.getpid()}"
    path.parent.mkdir(exist_ok=True)
    is_new = not path.exists()
    handle = _locked(made if is_new else path)
    if handle is not None:
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()} on {socket.gethostname()}\n".encode())
    if is_new:
        made.rename(path)
    return handle


def _locked(path: Path) -> int | None:
    """A handle that holds the lock of ``path``, or None where another process does."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle

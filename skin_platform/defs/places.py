"""Places: waiting for a place in a pool, so that a person sees for whom, and can stop it.

Dagster asks for a place again and again in a loop that heeds no interrupt, sleeps not at all and says so once in five minutes.
Here: the asking, made patient, for a run in this process. Not here: who is alive (``defs.burying``).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._utils.concurrency import ConcurrencyClaimStatus

from skin_platform.defs.burying import bury_killed_runs, process_of
from skin_platform.defs.listening import Told

TELL_SECONDS = 10.0  # between the first two lines that say for whom is waited; then twice as many, up to a minute
LOOK_SECONDS = 0.5  # between two questions; an interrupt is heeded as soon


@contextmanager
def patient_claims(
    instance: dg.DagsterInstance, has_ended: Callable[[], object], tell: Callable[[Told], None]
) -> Iterator[None]:
    """While the block runs, a run of this process that asks for a place waits until it has it: it tells who holds it, frees
    those of killed processes, and stops once ``has_ended`` (interrupted).

    Steps of such a run come one after the other, so that it holds no place while it waits for another.
    """
    storage = instance.event_log_storage
    claim = storage.claim_concurrency_slot

    def claim_patiently(
        concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> ConcurrencyClaimStatus:
        status, pause, due = claim(concurrency_key, run_id, step_key, priority), TELL_SECONDS, 0.0
        while not status.is_claimed and not _holds_one(instance, run_id):
            if has_ended():
                raise DagsterExecutionInterruptedError
            bury_killed_runs(instance, Path(instance.root_directory))
            status = claim(concurrency_key, run_id, step_key, priority)
            if not status.is_claimed and time.monotonic() > due:
                due, pause = time.monotonic() + pause, min(2 * pause, 60.0)
                tell(Told(step_key.replace("__", "/"), "log", _waits_for(instance, concurrency_key)))
            if not status.is_claimed:
                time.sleep(LOOK_SECONDS)
        return status

    setattr(storage, claim.__name__, claim_patiently)  # the one place where Dagster asks
    try:
        yield
    finally:
        delattr(storage, claim.__name__)


def _holds_one(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the run holds a place already; then it must go on, lest two wait for each other."""
    storage = instance.event_log_storage
    return any(slot.run_id == run_id for pool in storage.get_concurrency_keys()
               for slot in storage.get_concurrency_info(pool).claimed_slots)


def _waits_for(instance: dg.DagsterInstance, pool: str) -> str:
    """Who holds the places of a pool, as a sentence."""
    slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    held = [_holder(instance, slot.run_id, slot.step_key) for slot in slots]
    return f"waiting for the place '{pool}'" + (f", held by {'; '.join(held)}" if held else "")


def _holder(instance: dg.DagsterInstance, run_id: str, step_key: str) -> str:
    run = instance.get_run_by_id(run_id)
    began = [stats.start_time for stats in instance.get_run_step_stats(run_id, [step_key]) if stats.start_time]
    since = f" since {datetime.fromtimestamp(began[0], UTC):%H:%M:%S} UTC" if began else ""
    process = process_of(Path(instance.root_directory), run_id)
    alive = f"process {process}" if process else "no process shows itself: if it is dead, cancel the run in the UI"
    return f"run {run_id}{f' of {run.job_name}' if run else ''} ({alive}){since}"

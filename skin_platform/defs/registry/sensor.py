"""Keeping in step: what follows from the log of moves is done by the daemon where the mover was killed or a service was down.

Here: the job, and the sensor that looks. Not here: what is behind (``behind``), what is done (``promoting.follow``).
Level-triggered: what is there is compared with what should be, no event is waited for.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from skin_platform.defs.burying import UNFINISHED
from skin_platform.defs.resources import StoresResource
from skin_platform.storage.stores import Stores

INTERVAL_SECONDS = 60  # a look costs a listing of the versions and the last move of each alias
AGAIN_AFTER = timedelta(minutes=15)  # what was tried and is still behind, as a bundle that cannot be built
IN_STEP = "the export, the model cards and MLflow's registry show what the log of moves says"


@dataclass(frozen=True)
class Looked:
    """What the looks so far came to: the ``state`` of the store whose cards are sound, what was ``tried`` last, and when.

    ``at`` is UTC in ISO 8601; what was tried is the state of the store then, and what was behind.
    """

    state: str = ""
    tried: tuple[str, ...] = ()
    at: str = ""

    @classmethod
    def of(cls, cursor: str | None) -> "Looked":
        """As the cursor has it."""
        told = json.loads(cursor) if cursor else {}
        return cls(told.get("state", ""), tuple(told.get("tried", ())), told.get("at", ""))

    def waits(self, trying: tuple[str, ...], now: datetime) -> bool:
        """Whether just this was tried a short time ago."""
        return trying == self.tried and now < datetime.fromisoformat(self.at) + AGAIN_AFTER


@dg.op(description="Bring the model cards, the export and MLflow's registry in step with the log of moves.")
def follow_moves(context: dg.OpExecutionContext, stores: StoresResource) -> None:
    """What cannot be done now is warned of, and tried again later."""
    from skin_platform.defs.registry.promoting import follow

    follow(stores.open(), context.log.warning)


@dg.job(description="Bring the model cards, the export and MLflow's registry in step with the log of moves.")
def sync_registry() -> None:
    """One op."""
    follow_moves()


@dg.sensor(
    job_name=sync_registry.name, default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=INTERVAL_SECONDS,
    description="Notices an export, a model card or a registry in MLflow that is behind the log of moves.",
)
def registry_sensor(context: dg.SensorEvaluationContext, stores: StoresResource) -> dg.SensorResult:
    """One run for all that is behind; what was tried in vain is tried again after a quarter of an hour."""
    if context.instance.get_runs(dg.RunsFilter(job_name=sync_registry.name, statuses=UNFINISHED), limit=1):
        return dg.SensorResult(skip_reason=f"{sync_registry.name} is running", cursor=context.cursor)
    return look(stores.open(), Looked.of(context.cursor), datetime.now(UTC))


def look(stores: Stores, last: Looked, now: datetime) -> dg.SensorResult:
    """A run for what is behind, or why there is none."""
    from skin_platform.defs.registry.behind import behind_the_moves
    from skin_platform.defs.registry.truth import state_of

    state = state_of(stores)
    behind = behind_the_moves(stores, cards=state != last.state)
    if "cards" not in behind:
        last = replace(last, state=state)
    if not behind:
        return _nothing(IN_STEP, replace(last, tried=(), at=""))
    told = "; ".join(behind.values())
    if list(behind) == ["mlflow"]:
        from skin_platform.defs.checkpoints.recording import silence

        fault = silence(stores)
        if fault:
            return _nothing(f"{told}: {fault}", last)
    trying = (state, *behind.values())
    if last.waits(trying, now):
        return _nothing(f"{told}: tried at {last.at} in vain, and again {AGAIN_AFTER.seconds // 60} minutes after that", last)
    tried = replace(last, tried=trying, at=now.isoformat(timespec="seconds"))
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=json.dumps(asdict(tried)))


def _nothing(why: str, looked: Looked) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=why, cursor=json.dumps(asdict(looked)))

"""Listening: what happens in a run, as lines for a person.

Here: the events of a run turned into ``Told``. Not here: running it (``defs.walk``), printing (``telling``).
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.events import JobFailureData
from dagster._core.execution.plan.objects import StepFailureData

from skin_platform.core.findings import NOT_JUDGED

GATES_STEP = "gates_of_the_verdict"  # of defs.registry.checks: it fails where a gate has something against a model
CHAMPION_STEP = "registry__champion"


@dataclass(frozen=True)
class Told:
    """Something that happened on the walk: an asset began or was made, or a line of its log."""

    asset: str
    kind: str
    text: str = ""


@dataclass
class Walked:
    """What the walk has made: seconds by asset, the run ids, and what gates had against the model that it trained."""

    seconds: dict[str, float] = field(default_factory=dict)
    run_ids: list[str] = field(default_factory=list)
    refused_by: list[str] = field(default_factory=list)


class Listener:
    """Turns the events of one run into what is told of its ``assets``, their seconds, and the reasons of failures."""

    def __init__(self, assets: Collection[str], walked: Walked, tell: Callable[[Told], None]) -> None:
        self._assets, self._walked, self._tell = assets, walked, tell
        self._started: dict[str, float] = {}
        self.failures: list[str] = []
        self.is_refusal = False

    def hear(self, entry: dg.EventLogEntry) -> None:
        """Take in one entry of the run's event log."""
        asset = (entry.step_key or "").replace("__", "/")
        event = entry.dagster_event
        if event is None:
            follows = entry.user_message.startswith("Dependencies for step")  # from a failure that is told already
            if int(entry.level) >= logging.INFO and asset in self._assets and not follows:
                self._tell(Told(asset, "log", entry.user_message))
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._tell(_verdict(event))
            check = event.asset_check_evaluation_data
            if entry.step_key == GATES_STEP and not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                self._walked.refused_by.append(check.description or check.check_name)
        elif event.event_type == dg.DagsterEventType.STEP_START and asset in self._assets:
            self._started[asset] = entry.timestamp
            self._tell(Told(asset, "begun"))
        elif event.event_type == dg.DagsterEventType.STEP_SUCCESS and asset in self._started:
            seconds = entry.timestamp - self._started[asset]
            self._walked.seconds[asset] = self._walked.seconds.get(asset, 0.0) + seconds
            self._tell(Told(asset, "made", f"{seconds:.1f} s"))
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE and self._is_refusal(entry, event):
            self.is_refusal = True  # a gate did its work, nothing broke
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE or (
                event.event_type == dg.DagsterEventType.RUN_FAILURE and not self.is_refusal):
            self.failures.append(_reason(event))


    def _is_refusal(self, entry: dg.EventLogEntry, event: dg.DagsterEvent) -> bool:
        """Whether this step says that a model may not answer: a gate, or the promotion where another was faster."""
        data = event.event_specific_data
        if entry.step_key == CHAMPION_STEP and isinstance(data, StepFailureData) and data.user_failure_data:
            self._walked.refused_by.append(data.user_failure_data.description or "")
            return True
        return entry.step_key == GATES_STEP and bool(self._walked.refused_by)


def _verdict(event: dg.DagsterEvent) -> Told:
    """An asset check's outcome as a line."""
    check = event.asset_check_evaluation_data
    sentence = check.check_name.replace("_", " ")
    is_unsure = event.step_key == GATES_STEP and check.severity == dg.AssetCheckSeverity.WARN
    fault = "CANNOT BE JUDGED" if is_unsure else "DOES NOT HOLD"
    reason = check.description or ""
    if check.passed and reason.startswith(NOT_JUDGED):
        told = f"NOT JUDGED: {sentence} ({reason.removeprefix(f'{NOT_JUDGED}: ')})"
    else:
        told = f"holds: {sentence}" if check.passed else f"{fault}: {sentence}" + (f" ({reason})" if reason else "")
    return Told(check.asset_key.to_user_string(), "log", told)


def _reason(event: dg.DagsterEvent) -> str:
    """The sentence of a failed step: that of the ``Failure`` or of the innermost exception."""
    data = event.event_specific_data
    if isinstance(data, StepFailureData):
        if data.user_failure_data and data.user_failure_data.description:
            return data.user_failure_data.description
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        return error.message.strip() if error is not None else ""
    if isinstance(data, JobFailureData) and data.error is not None:
        return data.error.message.strip()
    return ""

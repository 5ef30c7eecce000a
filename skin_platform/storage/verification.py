"""Verification: does the object store do what the platform relies on, step by step.

Here: the order of the steps and the report, for `skin verify` and for the asset check. Not here: what a step does
(``storage.trial``), how it is shown (``commands.verify``).

Each step is tried in every bucket, since a key may have other rights in each, on an object of a name that nobody else
has. It is deleted at the end, whatever happened.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx

from skin_platform.storage.faults import StorageError
from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.trial import Trial

Status = Literal["ok", "failed", "not tried", "note"]
NEEDS: dict[str, tuple[str, ...]] = {  # in order; a step is tried where those that it needs went well
    "connection": (), "buckets": ("connection",), "upload": ("buckets",), "list": ("upload",), "download": ("upload",),
    "checksum": ("download",), "metadata": ("upload",), "presigned_url": ("upload",), "delete": ("upload",),
    "conditional_create": ("delete",)}
NOTES = {"conditional_create"}  # says what the store can; the platform does without


@dataclass(frozen=True)
class Step:
    """One step: how it went, and what was seen or why it failed. A ``note`` informs and fails nothing."""

    name: str
    status: Status
    detail: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Verification:
    """All steps at one store."""

    store: str
    buckets: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        """Whether every step that can fail went well."""
        return all(step.status in ("ok", "note") for step in self.steps)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"passed": self.passed, **asdict(self)}


def verify_store(objects: ObjectStore, buckets: Sequence[str]) -> Verification:
    """Try all steps in each of ``buckets``, which are created where they are missing; what fails is reported, not raised."""
    trial = Trial(objects, tuple(dict.fromkeys(buckets)))
    steps: dict[str, Step] = {}
    try:
        for name, needed in NEEDS.items():
            missing = [other for other in needed if steps[other].status != "ok"]
            steps[name] = Step(name, "not tried", f"needs {missing[0]}") if missing else _tried(name, trial)
    finally:
        trial.clean_up()
    return Verification(objects.address, trial.buckets, tuple(steps.values()))


def not_opened(address: str, buckets: Sequence[str], error: StorageError) -> Verification:
    """The report on a store that could not even be opened."""
    first, *others = NEEDS
    return Verification(address, tuple(buckets), (
        Step(first, "failed", str(error)), *(Step(name, "not tried", f"needs {first}") for name in others)))


def _tried(name: str, trial: "Trial") -> Step:
    started = time.monotonic()
    try:
        detail = trial.do(name)
        status: Status = "note" if name in NOTES else "ok"
    except KeyError as error:
        status, detail = "failed", str(error.args[0])
    except (StorageError, OSError, httpx.HTTPError) as error:
        status, detail = "failed", str(error) or type(error).__name__
    return Step(name, status, detail, round(time.monotonic() - started, 3))

"""Metrics: what the service counts of itself, and how Prometheus reads it at ``/metrics``.

Here: the names, and one function for each thing that happens. Not here: how is counted (``serving.tallies``), what is
done with the numbers (``deploy/monitoring``).
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from skin_platform.serving.tallies import Counter, Histogram

if TYPE_CHECKING:
    from skin_platform.serving.desk import Desk

logger = logging.getLogger("bentoml.skin_platform")

SECONDS = (0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)

REQUESTS = Counter("skin_requests", "Requests answered", ("route", "method", "status"))
LATENCY = Histogram("skin_request_seconds", "Seconds from a request's arrival to its answer", SECONDS, ("route",))
ERRORS = Counter("skin_errors", "Requests and images of a batch that were not answered as asked", ("code",))
PREDICTIONS = Counter("skin_predictions", "Images answered, by the label that came first", ("label",))
ABSTENTIONS = Counter("skin_abstentions", "Images answered without a claim")
OUT_OF_DISTRIBUTION = Counter("skin_out_of_distribution", "Images answered that are unlike what was learnt from")
BATCH_SIZE = Histogram("skin_batch_size", "Images that went through the model at once", SIZES)
BATCH_SECONDS = Histogram("skin_batch_seconds", "Seconds of one pass through the model", SECONDS)
SHADOW = Counter("skin_shadow", "Images that the challenger was to answer, too", ("outcome",))
SWAPS = Counter("skin_swaps", "Versions that were to take over", ("outcome",))
LOST_LINES = Counter("skin_log_lines_lost", "Lines of the log that could not be written")
TALLIES = (REQUESTS, LATENCY, ERRORS, PREDICTIONS, ABSTENTIONS, OUT_OF_DISTRIBUTION, BATCH_SIZE, BATCH_SECONDS, SHADOW, SWAPS,
           LOST_LINES)


@dataclass(frozen=True)
class State:
    """What is true at this moment; ``None`` where there is no spool (a demo) or no model."""

    ready: bool
    waiting: int = 0
    model: tuple[str, str, str] | None = None  # version, bundle, dataset digest
    is_refusing: bool = False  # a version that was promoted stays out
    spool_rows: int | None = None
    spool_bytes: int | None = None
    set_aside_rows: int | None = None
    drain_lag_seconds: float | None = None


def state_of(desk: "Desk") -> State:
    """What is true now. A spool that cannot be read is left out: the rest is worth knowing, and its absence is an alert."""
    current, spool = desk.current, desk.recorder
    origin = current.engine.bundle.provenance if current.engine else None
    known = State(
        current.can_answer, current.batcher.waiting if current.batcher else 0,
        (origin.model_version, origin.tag, origin.dataset_digest) if origin else None,
        desk.followed is not None and desk.followed.refused is not None)
    try:
        return known if spool is None else replace(
            known, spool_rows=spool.depth, spool_bytes=spool.bytes, set_aside_rows=spool.set_aside,
            drain_lag_seconds=spool.oldest_age())
    except RuntimeError as error:
        logger.warning("the spool cannot be read: %s", error)
        return known


def observe_request(route: str, method: str, status: int, seconds: float) -> None:
    """One answered request; ``route`` is the route's template (``/predict``), never the path that a caller made up."""
    REQUESTS.add(route, method, str(status))
    LATENCY.observe(seconds, route)


def observe_error(code: str) -> None:
    """One request, or one image of a batch, that was refused or failed with ``code``."""
    ERRORS.add(code)


def observe_answer(label: str, *, abstained: bool, flagged: bool) -> None:
    """One image answered with ``label`` first; ``flagged`` as out of distribution."""
    PREDICTIONS.add(label)
    if abstained:
        ABSTENTIONS.add()
    if flagged:
        OUT_OF_DISTRIBUTION.add()


def observe_batch(size: int, seconds: float) -> None:
    """One pass of ``size`` images through the model (the ``on_batch`` of the batcher)."""
    BATCH_SIZE.observe(size)
    BATCH_SECONDS.observe(seconds)


def observe_shadow(outcome: str) -> None:
    """One image for the challenger: ``answered``, ``dropped`` (too many wait) or ``failed``."""
    SHADOW.add(outcome)


def observe_swap(outcome: str) -> None:
    """One version that was to take over: ``taken_up`` or ``refused``."""
    SWAPS.add(outcome)


def observe_lost_line() -> None:
    """One line of the log that could not be written."""
    LOST_LINES.add()


def exposition(state: State) -> str:
    """Everything in Prometheus' text form, counted so far and true now."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Told(state))
    return generate_latest(registry).decode()


class _Told(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """The families of the tallies, then the gauges."""
        yield from (tally.family() for tally in TALLIES)
        yield from _gauges(self._state)


def _gauges(state: State) -> Iterable[Metric]:
    yield GaugeMetricFamily("skin_ready", "1 where the golden images were answered as recorded", value=float(state.ready))
    yield GaugeMetricFamily("skin_champion_refused", "1 where the version that was promoted is kept out",
                            value=float(state.is_refusing))
    yield GaugeMetricFamily("skin_waiting_images", "Images that wait for the model", value=state.waiting)
    info = GaugeMetricFamily("skin_model_info", "The model that answers", labels=("version", "bundle", "dataset"))
    if state.model:
        info.add_metric(state.model, 1)
    yield info
    for name, about, value in (
        ("skin_spool_rows", "Rows that are not in the database yet", state.spool_rows),
        ("skin_spool_bytes", "Bytes that they take", state.spool_bytes),
        ("skin_spool_set_aside_rows", "Rows that the database refused for ever", state.set_aside_rows),
        ("skin_drain_lag_seconds", "Age of the oldest row that is not in the database yet", state.drain_lag_seconds),
    ):
        if value is not None:
            yield GaugeMetricFamily(name, about, value=value)

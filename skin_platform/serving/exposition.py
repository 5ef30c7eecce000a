"""Exposition: what Prometheus reads at ``/metrics``: what was counted, and what is true at this moment.

Here: the gauges, read from the desk when somebody asks: they cost a request nothing and never outlive what they tell of.
Not here: what is counted (``serving.metrics``).
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from skin_platform.serving.desk import Current, Desk
from skin_platform.serving.metrics import TALLIES
from skin_platform.serving.parts import lost, parts_of

logger = logging.getLogger("bentoml.skin_platform")
MODEL = ("version", "bundle", "dataset", "engine")


@dataclass(frozen=True)
class State:
    """What is true at this moment; ``None`` where there is no spool (a demo) or no model."""

    ready: bool
    waiting: int = 0
    model: tuple[str, str, str, str] | None = None  # version, bundle, dataset digest, engine
    is_refusing: bool = False  # a version that was promoted stays out
    parts: dict[str, bool] = field(default_factory=dict)
    spool_rows: int | None = None
    spool_bytes: int | None = None
    spool_limit_bytes: int | None = None
    set_aside_rows: int | None = None
    jobs_waiting: int | None = None
    drain_lag_seconds: float | None = None


def state_of(desk: Desk) -> State:
    """What is true now. A spool that cannot be read is left out: the rest is worth knowing, and its absence is an alert."""
    current, spool = desk.current, desk.recorder
    known = State(
        current.can_answer and lost(desk) is None, current.batcher.waiting if current.batcher else 0,
        _model(current),
        desk.followed is not None and desk.followed.refused is not None, parts_of(desk))
    try:
        return known if spool is None else replace(
            known, spool_rows=spool.depth, spool_bytes=spool.bytes, spool_limit_bytes=desk.settings.skin_spool_bytes,
            set_aside_rows=spool.set_aside, drain_lag_seconds=spool.oldest_age(),
            jobs_waiting=desk.jobs.waiting if desk.jobs else None)
    except RuntimeError as error:
        logger.warning("the spool cannot be read: %s", error)
        return known


def _model(current: Current) -> tuple[str, str, str, str] | None:
    if current.engine is None:
        return None
    origin = current.engine.bundle.provenance
    return origin.model_version, origin.tag, origin.dataset_digest, current.engine.name


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
    parts = GaugeMetricFamily("skin_part_alive", "1 where what works beside the requests still does", labels=("part",))
    for name, is_alive in state.parts.items():
        parts.add_metric((name,), float(is_alive))
    yield parts
    info = GaugeMetricFamily("skin_model_info", "The model that answers", labels=MODEL)
    if state.model:
        info.add_metric(state.model, 1)
    yield info
    for name, about, value in (
        ("skin_spool_rows", "Rows that are not in the database yet", state.spool_rows),
        ("skin_spool_bytes", "Bytes that they take", state.spool_bytes),
        ("skin_spool_limit_bytes", "Bytes that they may take at most", state.spool_limit_bytes),
        ("skin_spool_set_aside_rows", "Rows that the database refused for ever", state.set_aside_rows),
        ("skin_jobs_waiting", "Submitted images that are not answered yet", state.jobs_waiting),
        ("skin_drain_lag_seconds", "Age of the oldest row that is not in the database yet", state.drain_lag_seconds),
    ):
        if value is not None:
            yield GaugeMetricFamily(name, about, value=value)

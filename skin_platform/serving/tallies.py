"""Tallies: counters and histograms that one process keeps in memory, told in Prometheus' words.

``prometheus_client``'s own counters are not used: BentoML sets its multiprocess mode, in which values lie in files of a folder
that every other service started from the same home empties, and gauges of dead processes stay. One process answers here, so
numbers in memory suffice; the form in which they are told is the library's.

Here: how is counted. Not here: what is counted (``serving.metrics``).
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from threading import Lock

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

Labels = tuple[str, ...]


class Counter:
    """Only ever goes up; one number for each combination of label values. Safe in threads.

    ``known`` combinations begin at 0: Prometheus does not see the first step of a number that appears with it.
    """

    def __init__(self, name: str, about: str, labels: Labels = (), known: Iterable[Labels] = ()) -> None:
        self.name, self.about, self.labels = name, about, labels
        self._counts: dict[Labels, float] = dict.fromkeys(known if labels else [()], 0.0)
        self._lock = Lock()

    def add(self, *values: str, amount: float = 1.0) -> None:
        """Count ``amount`` for the label ``values``, in the order of ``labels``."""
        with self._lock:
            self._counts[values] = self._counts.get(values, 0.0) + amount

    def family(self) -> CounterMetricFamily:
        """All its numbers as a metric family."""
        told = CounterMetricFamily(self.name, self.about, labels=self.labels)
        with self._lock:
            counts = list(self._counts.items())
        for values, count in counts:
            told.add_metric(values, count)
        return told


class Histogram:
    """How often a value fell at or under each of ``bounds``, and the sum of all. Safe in threads."""

    def __init__(self, name: str, about: str, bounds: Sequence[float], labels: Labels = ()) -> None:
        self.name, self.about, self.labels, self.bounds = name, about, labels, tuple(map(float, bounds))
        self._cells: dict[Labels, list[float]] = {} if labels else {(): self._empty()}
        self._lock = Lock()

    def _empty(self) -> list[float]:
        return [0.0] * (len(self.bounds) + 2)  # one cell a bucket, one for what is over the last bound, the sum

    def observe(self, value: float, *values: str) -> None:
        """Note one ``value`` for the label ``values``."""
        at = bisect_left(self.bounds, value)
        with self._lock:
            cells = self._cells.get(values)
            if cells is None:
                cells = self._cells[values] = self._empty()
            cells[at] += 1.0
            cells[-1] += value

    def family(self) -> HistogramMetricFamily:
        """All its numbers as a metric family, buckets cumulated."""
        told = HistogramMetricFamily(self.name, self.about, labels=self.labels)
        with self._lock:
            found = [(values, list(cells)) for values, cells in self._cells.items()]
        names = [*map(str, self.bounds), "+Inf"]
        for values, cells in found:
            sums = [sum(cells[:at + 1]) for at in range(len(names))]
            told.add_metric(values, list(zip(names, sums, strict=True)), cells[-1])
        return told

"""Metrics: what the service counts of itself.

Here: the names, and one function for each thing that happens; all of them together take some 3 microseconds a request.
Not here: how is counted (``serving.tallies``), what Prometheus reads (``serving.exposition``) and what is done with it
(``deploy/monitoring``).
"""

from skin_platform.serving.errors import CODES
from skin_platform.serving.tallies import Counter, Histogram

SECONDS = (0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)

REQUESTS = Counter("skin_requests", "Requests answered", ("route", "method", "status"))
LATENCY = Histogram("skin_request_seconds", "Seconds from a request's arrival to its answer", SECONDS, ("route",))
ERRORS = Counter("skin_errors", "Requests and images of a batch that were not answered as asked", ("code",),
                 known=[(code,) for code in CODES])
PREDICTIONS = Counter("skin_predictions", "Images answered, by the label that came first", ("label",))
ABSTENTIONS = Counter("skin_abstentions", "Images answered without a claim")
OUT_OF_DISTRIBUTION = Counter("skin_out_of_distribution", "Images answered that are unlike what was learnt from")
BATCH_SIZE = Histogram("skin_batch_size", "Images that went through the model at once", SIZES)
BATCH_SECONDS = Histogram("skin_batch_seconds", "Seconds of one pass through the model", SECONDS)
SHADOW = Counter("skin_shadow", "Images that the challenger was to answer, too", ("outcome",),
                 known=[("answered",), ("dropped",), ("failed",)])
SWAPS = Counter("skin_swaps", "Versions that were to take over", ("outcome",), known=[("taken_up",), ("refused",)])
LOST_LINES = Counter("skin_log_lines_lost", "Lines of the log that could not be written")
TALLIES = (REQUESTS, LATENCY, ERRORS, PREDICTIONS, ABSTENTIONS, OUT_OF_DISTRIBUTION, BATCH_SIZE, BATCH_SECONDS, SHADOW, SWAPS,
           LOST_LINES)


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

"""Retrying: when a request that was not answered is made once more, and after how long.

Here: decisions alone, the same for the client that waits and the one that is awaited. Not here: requests (``client``).
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0  # seconds, doubled each time; a wait that the service names may be longer
PASSES = {"overloaded", "spool_full", "store_down", "keys_unknown", "error"}  # of those that come with 503; the last: a proxy's
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
CUT_OFF = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class ApiError(RuntimeError):
    """The service refused or could not be reached.

    ``status`` (0: no answer), ``code``, ``message``, ``request_id``; ``retry_after``: the seconds to wait, where it names them.
    """

    def __init__(self, status: int, code: str, message: str, request_id: str | None = None,
                 retry_after: float | None = None) -> None:
        super().__init__(f"{code} ({status}): {message}" if status else f"{code}: {message}")
        self.status, self.code, self.message, self.request_id = status, code, message, request_id
        self.retry_after = retry_after


@dataclass(frozen=True)
class Retries:
    """At most ``most`` further requests; one that would have to wait over ``longest_wait`` seconds is given up at once."""

    most: int = 3
    longest_wait: float = 30.0

    def pause_after(self, error: ApiError, tried: int, *, repeatable: bool) -> float | None:
        """Seconds to wait before the next request after ``tried`` of them ended in ``error``; None where there is none.

        The service did nothing where it answered 429 or 503, or was not reached. A connection that broke while the answer was
        due says nothing of that: only what is ``repeatable``, whose doing twice does no harm, is then asked again.
        """
        if tried > self.most or not (_was_not_done(error) or (error.code == "cut_off" and repeatable)):
            return None
        # half of it by chance, so that those who were sent away together do not come back together
        backoff = min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** (tried - 1))) * random.uniform(0.5, 1.0)
        if error.retry_after is None:
            return backoff
        return None if error.retry_after > self.longest_wait else error.retry_after + backoff * 0.1


def _was_not_done(error: ApiError) -> bool:
    """Whether nothing was done, and a wait may change that: a model that is not there does not come by waiting some seconds."""
    return error.code == "unreachable" or error.status == 429 or (error.status == 503 and error.code in PASSES)


def failed(error: httpx.HTTPError, address: object) -> ApiError:
    """What is told where there was no answer."""
    told = str(error) or type(error).__name__
    if isinstance(error, httpx.UnsupportedProtocol):
        return ApiError(0, "bad_address", f"{str(address).rstrip('/')} is no address of a service: {told}")
    if isinstance(error, CUT_OFF):
        return ApiError(0, "cut_off", f"{address} broke the connection off before it had answered: {told}")
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, NOT_SENT):
        return ApiError(0, "timeout", f"{address} has not answered in time: {told}")
    return ApiError(0, "unreachable", f"{address} does not answer ({told}): is the service running, and is this its address?")


def refused(response: httpx.Response) -> ApiError:
    """What is told where the answer is not the one asked for."""
    body = body_of(response)
    return ApiError(response.status_code, str(body.get("code", "error")), str(body.get("message", response.text[:200])),
                    body.get("request_id"), _seconds(response.headers.get("retry-after")))


def body_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of the answer; an empty one where a proxy or a crash answered with something else."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(told: str | None) -> float | None:
    """``Retry-After`` in seconds, given as such or as a date; None where there is none that can be read."""
    if told is None:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(told)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())

"""Answering: does anybody answer at the address of the object store, before anything is asked of it.

Here: a few short tries. Not here: whether the store does what it should (``storage.verification``), the retries of requests
to a store that answers (``storage.endpoint``), which are patient since it may be restarting.
"""

import time
from collections.abc import Callable

import httpx

from skin_platform.storage.faults import StorageError

TRIES = 3
ANSWER_SECONDS = 2.0
BETWEEN_SECONDS = 1.0


def wait_for_answer(address: str, tell: Callable[[str], None]) -> None:
    """Return once somebody answers at ``address``, whatever the answer; ``tell`` hears of each try that failed.

    Raises ``StorageError`` with the remedy after some 3 s where connections are refused, 8 s where nothing comes back at all.
    """
    error: Exception | None = None
    for left in range(TRIES - 1, -1, -1):
        try:
            httpx.head(address, timeout=ANSWER_SECONDS)
        except (httpx.TransportError, httpx.InvalidURL) as found:
            error = found
        else:
            return
        if left:
            tell(f"{address} does not answer ({_first_line(error)}); asking {left} more time(s)")
            time.sleep(BETWEEN_SECONDS)
    raise StorageError(f"nobody answers at {address}: check S3_ENDPOINT, and whether the store runs ({_first_line(error)})")


def _first_line(error: Exception | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]

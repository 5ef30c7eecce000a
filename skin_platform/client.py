"""The Python client of the service: uniform calls, uniform errors, patience where a wait helps.

    with SkinClient("http://127.0.0.1:8000") as client:
        answer = client.predict("lesion.jpg", top_k=3)

``AsyncSkinClient`` has the same methods, to be awaited. Both ask again, ``retries`` times at most, where the service was not
reached, or answered 429 or 503 (``Retry-After`` is kept to), and where the connection broke and a second request does no harm:
a prediction made twice is recorded twice, feedback given twice is one. ``submit`` is not repeated then: it may have been taken.

Here: sending. Not here: what can be asked (``asking``), when it is asked again (``retrying``).
"""

import asyncio
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Self

import httpx

from skin_platform.asking import Call, Calls, Json, address, ended, headers, not_yet
from skin_platform.core.answers import top_k_predictions
from skin_platform.retrying import ApiError, Retries, body_of, failed, refused

__all__ = ["ApiError", "AsyncSkinClient", "SkinClient", "top_k_predictions"]

HERE = "http://127.0.0.1:8000"
LOOK_SECONDS = 0.25  # between two looks at an asynchronous prediction


class SkinClient(Calls[Json]):
    """Speaks to one service, from any number of threads."""

    def __init__(self, base_url: str = HERE, api_key: str = "", timeout: float = 30.0, retries: int = 3) -> None:
        self._http = httpx.Client(base_url=address(base_url), headers=headers(api_key), timeout=timeout, trust_env=False)
        self._retries = Retries(retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def is_ready(self) -> bool:
        """True when the golden images were answered as recorded."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self, job_id: str, timeout: float = 300.0) -> Json:
        """The answer to a submitted image, once there is one; ``ApiError`` where it failed or ``timeout`` seconds are over."""
        deadline = time.monotonic() + timeout
        while (answer := ended(job := self.job(job_id))) is None:
            if time.monotonic() > deadline:
                raise not_yet(job, timeout)
            time.sleep(LOOK_SECONDS)
        return answer

    def _ask(self, call: Call) -> Json:
        tried = 0
        while True:
            tried += 1
            try:
                response = self._http.request(call.method, call.path, **call.options)
                if response.is_success:
                    return body_of(response)
                error = refused(response)
            except httpx.HTTPError as fault:
                error = failed(fault, self._http.base_url)
            pause = self._retries.pause_after(error, tried, repeatable=call.repeatable)
            if pause is None:
                raise error from None
            time.sleep(pause)


class AsyncSkinClient(Calls[Awaitable[Json]]):
    """Speaks to one service from one event loop; its methods are awaited."""

    def __init__(self, base_url: str = HERE, api_key: str = "", timeout: float = 30.0, retries: int = 3) -> None:
        self._http = httpx.AsyncClient(base_url=address(base_url), headers=headers(api_key), timeout=timeout,
                                       trust_env=False)
        self._retries = Retries(retries)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def is_ready(self) -> bool:
        """True when the golden images were answered as recorded."""
        try:
            return (await self._http.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def wait(self, job_id: str, timeout: float = 300.0) -> Json:
        """The answer to a submitted image, once there is one; ``ApiError`` where it failed or ``timeout`` seconds are over."""
        deadline = time.monotonic() + timeout
        while (answer := ended(job := await self.job(job_id))) is None:
            if time.monotonic() > deadline:
                raise not_yet(job, timeout)
            await asyncio.sleep(LOOK_SECONDS)
        return answer

    async def _ask(self, call: Call) -> Json:
        tried = 0
        while True:
            tried += 1
            try:
                response = await self._http.request(call.method, call.path, **call.options)
                if response.is_success:
                    return body_of(response)
                error = refused(response)
            except httpx.HTTPError as fault:
                error = failed(fault, self._http.base_url)
            pause = self._retries.pause_after(error, tried, repeatable=call.repeatable)
            if pause is None:
                raise error from None
            await asyncio.sleep(pause)

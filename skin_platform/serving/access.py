"""Access: which key asks, what it may, and how often.

Here: the key of a request held against the scope of a route, and against its rate. Not here: the keys (``storage.keys``), how
often each has asked (``serving.rates``).
"""

import math
from collections.abc import Awaitable, Callable
from typing import Literal, NoReturn

from fastapi import Request
from fastapi.responses import Response

from skin_platform.serving.asked import asked_of
from skin_platform.serving.desk import Desk, desk_of
from skin_platform.serving.errors import CODES, RouteError
from skin_platform.serving.rates import Rates

Scope = Literal["predict", "feedback", "operate"]
Handler = Callable[[Request], Awaitable[Response]]


def admit(request: Request, scope: Scope) -> None:
    """Let the request's key pass for a route of ``scope``; raises ``RouteError``. Without any key configured all pass."""
    desk = desk_of(request)
    if desk.keys is None or desk.keys.is_open:
        return
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    key = desk.keys.find(token.strip()) if kind.lower() == "bearer" and token else None
    if key is None and desk.keys.fault is not None:
        raise RouteError("keys_unknown", CODES["keys_unknown"].meaning)
    if key is None:
        raise RouteError("unauthorized", "send the header 'Authorization: Bearer <key>' with a key that is known"
                         if not token else "the key is not known, or was revoked")
    asked_of(request).key = key
    if scope not in key.scopes:
        raise RouteError("forbidden", f"the key {key.name!r} lacks the scope {scope!r}", {
            "WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'})
    spend(request, desk, 0 if request.method == "GET" else 1)  # to look whether a job is done costs nothing


def spend(request: Request, desk: Desk, cost: int) -> None:
    """Take ``cost`` from the rate of the request's key; raises ``RouteError`` where it is used up."""
    key = asked_of(request).key
    if key is None or desk.keys is None or cost == 0:
        return
    rate = desk.keys.rate_of(key.name)
    if rate:
        rates: Rates = request.app.state.rates
        seconds = rates.take(key.name, rate, cost)
        if seconds:
            _refuse(key.name, rate, seconds)


def _refuse(name: str, rate: int, seconds: float) -> NoReturn:
    whole = max(1, math.ceil(seconds))
    raise RouteError("rate_limited", f"the key {name!r} may ask for {rate} images a minute: ask again in {whole} s",
                     {"Retry-After": str(whole)})


def spend_batch(request: Request, desk: Desk, images: int) -> None:
    """``spend`` for a batch, of which ``admit`` took one image already. Raises ``RouteError``.

    One that is larger than the whole rate costs nothing: it would not pass later either.
    """
    key = asked_of(request).key
    rate = desk.keys.rate_of(key.name) if key is not None and desk.keys is not None else 0
    if key is not None and 0 < rate < images:
        rates: Rates = request.app.state.rates
        rates.take(key.name, rate, -1)
        raise RouteError("too_many_images", f"{images} images, and the key {key.name!r} may ask for {rate} a minute: send at "
                                            f"most {rate} at once")
    spend(request, desk, images - 1)


def guarded(scope: Scope, handler: Handler) -> Handler:
    """``handler`` for those who may."""
    async def answer(request: Request) -> Response:
        admit(request, scope)
        return await handler(request)

    answer.__doc__, answer.__name__ = handler.__doc__, getattr(handler, "__name__", "answer")
    return answer

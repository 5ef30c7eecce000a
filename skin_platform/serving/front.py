"""The front: every request comes in here and every answer goes out here.

Here: the request id, the one shape of errors, the measures and the log line of each request. Not here: what is known of a
request meanwhile (``serving.asked``), what is answered (``serving.app``), the measures themselves (``serving.metrics``), how
log lines look (``serving.logs``).
"""

import logging
import re
import time
import uuid

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skin_platform.serving.asked import Asked, Held
from skin_platform.serving.errors import CODES, RouteError, route_error
from skin_platform.serving.logs import request_line
from skin_platform.serving.metrics import observe_error, observe_request

logger = logging.getLogger("bentoml.skin_platform")
SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
PROBES = {"/livez", "/readyz", "/healthz", "/metrics"}  # asked every few seconds by machines; neither measured nor logged
METHODS = {"GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}
ASSETS = "/docs/assets/"  # what may be kept: it is nobody's
SAFE = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))  # of answers that do not say otherwise
GONE = 499  # who asked has hung up; nothing is sent, the log says so


class Front:
    """ASGI: outside of the routes, inside of the server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._held = app, Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, answered whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = scope["asked"] = Asked(_request_id(scope), self._held)
        header = (b"x-request-id", asked.request_id.encode())
        safe = () if scope["path"].startswith(ASSETS) else SAFE

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked.status = message["status"]
                told = message.get("headers", ())
                names = {name for name, _ in told}
                message["headers"] = [*told, header, *(pair for pair in safe if pair[0] not in names)]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            asked.status = asked.status or GONE
        except Exception as error:  # noqa: BLE001  # the last one to catch: what is raised beyond would be answered in other words
            await _answer_error(error, asked, scope, receive, answer)
        finally:
            self._held.count -= asked.body_bytes
        _tell(asked, scope)


async def _answer_error(error: Exception, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(error, RouteError):
        refusal = error
    elif isinstance(error, HTTPException):
        refusal = route_error(error)
    else:
        logger.exception("request %s failed", asked.request_id)
        refusal = RouteError("internal", CODES["internal"].meaning)
    asked.code = refusal.code
    if asked.status == 0:
        await refusal.answer(asked.request_id)(scope, receive, send)


def _tell(asked: Asked, scope: Scope) -> None:
    """Measure and log a request that was answered."""
    route, seconds = _route(scope), time.perf_counter() - asked.started
    if route in PROBES:
        return
    observe_request(route, scope["method"] if scope["method"] in METHODS else "other", asked.status, seconds)
    if asked.code:
        observe_error(asked.code)
    request_line(request_id=asked.request_id, route=route, method=scope["method"], status=asked.status, seconds=seconds,
                 key_name=asked.key_name, origin=asked.origin, code=asked.code)


def _route(scope: Scope) -> str:
    """The route's template; never the path that a caller made up, each of which would be a time series of its own."""
    found = getattr(scope.get("route"), "path", None)
    return found or ("description" if "endpoint" in scope else "unmatched")


def _request_id(scope: Scope) -> str:
    """The caller's ``X-Request-Id`` where it is sane, else one of ours."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and SANE_ID.fullmatch(value):
            found: str = value.decode()
            return found
    return uuid.uuid4().hex

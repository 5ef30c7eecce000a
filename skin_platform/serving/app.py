"""The application: every route of the service, behind one front.

Here: which handler answers which address, and who may ask. Not here: the handlers (``serving.routes``, ``serving.status``, …),
how BentoML runs it (``serving.service``).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from skin_platform.serving.access import Rates, Scope, admit, guarded
from skin_platform.serving.errors import RouteError, route_error
from skin_platform.serving.front import Front, asked_of
from skin_platform.serving.page import add_page
from skin_platform.serving.predictions import NOTICE
from skin_platform.serving.routes import predict, predict_batch
from skin_platform.serving.status import health, livez, metrics, model_status, readyz
from skin_platform.serving.tracing import add_routes

Handler = Callable[[Request], Awaitable[Response]]


class Plain(APIRoute):
    """A route whose handler gets the request and gives the response: described like any other, without the framework's
    reading of parameters and its checks of answers, which cost as much as the rest of the request."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler itself."""
        return self.endpoint


def build_app(env: str = "dev") -> FastAPI:
    """The application; ``app.state.desk`` is set before the first request. ``env`` is ``SKIN_ENV``."""
    app = FastAPI(title="skin platform", description=f"Classifies photographs of skin lesions. {NOTICE}",
                  docs_url="/docs", openapi_url="/openapi.json", redirect_slashes=False)
    app.state.rates = Rates()
    app.add_middleware(Front)
    app.add_exception_handler(RouteError, _answer)
    app.add_exception_handler(HTTPException, _answer_framework)
    _add(app, "POST", "/predict", predict, "predict")
    _add(app, "POST", "/predict/batch", predict_batch, "predict")
    for path, handler in (("/health", health), ("/model-status", model_status), ("/livez", livez), ("/healthz", livez),
                          ("/readyz", readyz), ("/metrics", metrics)):
        _add(app, "GET", path, handler)
    add_routes(app, [Depends(operators)])
    add_page(app, env)
    return app


async def operators(request: Request) -> None:
    """Let keys of the scope ``operate`` pass."""
    admit(request, "operate")


def _add(app: FastAPI, method: str, path: str, handler: Handler, scope: Scope | None = None, **described: Any) -> None:
    endpoint = guarded(scope, handler) if scope else handler
    app.router.routes.append(Plain(path, endpoint, methods=[method], name=path.strip("/"), **described))


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, RouteError)
    asked = asked_of(request)
    asked.code = error.code
    return error.answer(asked.request_id)


async def _answer_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return await _answer(request, route_error(error))

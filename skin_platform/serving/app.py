"""The application: every route of the service, behind one front.

Here: which handler answers which address, who may ask, and what the description says of it. Not here: the handlers
(``serving.routes``, ``serving.status``, …), how BentoML runs the application (``serving.service``).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from skin_platform.serving import answers, status_answers
from skin_platform.serving.access import Scope, guarded
from skin_platform.serving.asked import asked_of
from skin_platform.serving.describing import (
    BODY,
    IMAGE,
    JOB_ID_PARAMETER,
    PREDICTION_ID_PARAMETER,
    READY,
    TOP_K_PARAMETER,
    add_docs,
    described,
    described_text,
    form_of,
    image_body,
    json_body,
)
from skin_platform.serving.errors import RouteError, route_error
from skin_platform.serving.feedback import EXAMPLE, Given, give_feedback
from skin_platform.serving.front import Front
from skin_platform.serving.page import add_page
from skin_platform.serving.predicting import spool_error
from skin_platform.serving.predictions import NOTICE
from skin_platform.serving.rates import Rates
from skin_platform.serving.routes import predict, predict_batch
from skin_platform.serving.status import EXPOSITION, health, livez, metrics, model_status, readyz
from skin_platform.serving.submitting import fetch, submit
from skin_platform.serving.tracing import Lineage, lineage
from skin_platform.storage.spool_file import SpoolError

Handler = Callable[[Request], Awaitable[Response]]
KEY = HTTPBearer(scheme_name="key", auto_error=False, description="A key of `skin keys add`; none where none was ever made")


class Plain(APIRoute):
    """A route whose handler gets the request and gives the response; all else that is said of it serves its description.

    The framework's reading of parameters and its checks of answers would cost as much as all else that a request needs here.
    """

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler itself."""
        return self.endpoint


def build_app(env: str = "dev") -> FastAPI:
    """The application; ``app.state.desk`` is set before the first request. ``env`` is ``SKIN_ENV``."""
    app = FastAPI(title="skin platform", description=f"Classifies photographs of skin lesions. {NOTICE}", version="1",
                  docs_url=None, redoc_url=None, openapi_url="/openapi.json", redirect_slashes=False)
    app.state.rates = Rates()
    app.add_middleware(Front)
    app.add_exception_handler(RouteError, _answer)
    app.add_exception_handler(HTTPException, _answer_framework)
    app.add_exception_handler(SpoolError, _answer_spool)
    _add_predictions(app)
    _add_status(app)
    add_docs(app)
    add_page(app, env)
    return app


def _add_predictions(app: FastAPI) -> None:
    _add(app, "POST", "/predict", predict, "predict", **described(
        answers.Prediction, (*READY, *BODY, *IMAGE), keyed=True, parameters=(TOP_K_PARAMETER,), body=image_body()))
    _add(app, "POST", "/predict/batch", predict_batch, "predict", **described(
        answers.Predictions, (*READY, *BODY, "too_many_images", "overloaded", "spool_full"), keyed=True,
        parameters=(TOP_K_PARAMETER,), body=form_of("images", many=True)))
    _add(app, "POST", "/predict/async", submit, "predict", **described(
        answers.Submitted, (*READY, *BODY, *IMAGE, "not_in_demo"), status=202, keyed=True, parameters=(TOP_K_PARAMETER,),
        body=image_body()))
    _add(app, "GET", "/predict/async/{job_id}", fetch, "predict", **described(
        answers.Job, ("unknown_job", "not_in_demo"), keyed=True, parameters=(JOB_ID_PARAMETER,)))
    _add(app, "POST", "/feedback", give_feedback, "feedback", **described(
        answers.Kept, (*BODY, "unknown_prediction", "unknown_label", "spool_full", "not_in_demo"), keyed=True,
        body=json_body(Given, EXAMPLE)))


def _add_status(app: FastAPI) -> None:
    _add(app, "GET", "/lineage/predictions/{prediction_id}", lineage, "operate", **described(
        Lineage, ("unknown_prediction", "not_in_demo", "store_down"), keyed=True, parameters=(PREDICTION_ID_PARAMETER,)))
    _add(app, "GET", "/health", health, **described(status_answers.Health, ("spool_full",)))
    _add(app, "GET", "/model-status", model_status, **described(status_answers.ModelStatus, ()))
    _add(app, "GET", "/readyz", readyz, **described(status_answers.Ready, (*READY, "spool_full")))
    for path in ("/livez", "/healthz"):
        _add(app, "GET", path, livez, **described(status_answers.Alive, ()))
    _add(app, "GET", "/metrics", metrics, **described_text(EXPOSITION))


def _add(app: FastAPI, method: str, path: str, handler: Handler, scope: Scope | None = None, **described_as: Any) -> None:
    endpoint = guarded(scope, handler) if scope else handler
    summary = (handler.__doc__ or "").splitlines()[0].rstrip(".")
    app.router.routes.append(Plain(path, endpoint, methods=[method], name=path.strip("/"), summary=summary,
                                   tags=[scope or "status"], dependencies=[Security(KEY)] if scope else [], **described_as))


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, RouteError)
    asked = asked_of(request)
    asked.code = error.code
    return error.answer(asked.request_id)


async def _answer_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return await _answer(request, route_error(error))


async def _answer_spool(request: Request, error: Exception) -> Response:
    assert isinstance(error, SpoolError)
    return await _answer(request, spool_error(error))

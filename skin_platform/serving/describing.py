"""Describing: what ``/openapi.json`` and ``/docs`` say of each route: what it takes, each answer that it may give, examples.

Here: these descriptions, and the page that shows them without loading anything from elsewhere. Not here: the fields of the
answers (``serving.answers``), the meaning of the codes (``serving.errors``).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import bentoml
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from skin_platform.serving.answers import DIGEST, PREDICTION_ID, Error
from skin_platform.serving.errors import CODES
from skin_platform.serving.forms import MAX_IMAGES
from skin_platform.serving.ids import ID_PATTERN
from skin_platform.serving.requests import TOP_K, TOP_K_MAX

SWAGGER = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"  # BentoML brings it; FastAPI's is a CDN's
FROM_HERE = ("default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
             "frame-ancestors 'none'")
ALWAYS = ("invalid_http", "headers_too_large", "method_not_allowed", "internal")
KEYED = ("unauthorized", "forbidden", "rate_limited", "keys_unknown")
READY = ("not_ready", "no_champion")
BODY = ("too_large", "unsupported_media_type", "invalid_request", "request_timeout")
IMAGE = ("empty", "too_small", "corrupt", "not_an_image", "wrong_format", "overloaded", "spool_full")
REQUEST_ID = {"X-Request-Id": {"description": "The caller's, or one of ours", "schema": {"type": "string"}}}
HEADERS = {401: ("WWW-Authenticate", "Bearer"), 403: ("WWW-Authenticate", "names the missing scope"),
           405: ("Allow", "the methods that are"), 429: ("Retry-After", "seconds"), 503: ("Retry-After", "seconds")}
BINARY = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}
TOP_K_PARAMETER = {
    "name": "top_k", "in": "query", "required": False, "description": "How many labels, best first; more than there are: all",
    "schema": {"type": "integer", "minimum": 1, "maximum": TOP_K_MAX, "default": TOP_K}}
PREDICTION_ID_PARAMETER = {"name": "prediction_id", "in": "path", "required": True, "description": "prediction_id of an answer",
                           "schema": {"type": "string", "pattern": ID_PATTERN}, "example": PREDICTION_ID}
JOB_ID_PARAMETER = {"name": "job_id", "in": "path", "required": True, "description": "job_id of a submitted image",
                    "schema": {"type": "string", "pattern": ID_PATTERN}, "example": PREDICTION_ID}


def described(answer: type[BaseModel] | None, codes: tuple[str, ...], *, status: int = 200, keyed: bool = False,
              parameters: tuple[dict[str, Any], ...] = (), body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The keywords of a route that gives ``answer`` with ``status``, or an error of ``codes``."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in (*codes, *(KEYED if keyed else ()), *ALWAYS):
        by_status[CODES[code].status].append(code)
    extra: dict[str, Any] = {"parameters": list(parameters)} if parameters else {}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": body}
    given = {status: {"headers": REQUEST_ID} | ({"model": answer} if answer else {})}
    refused = {number: _refusals(number, found) for number, found in sorted(by_status.items())}
    return {"status_code": status, "responses": given | refused, "openapi_extra": extra}


def described_text(media_type: str) -> dict[str, Any]:
    """The keywords of a route that answers with text of that type."""
    keywords = described(None, ())
    keywords["responses"][200] = {"headers": REQUEST_ID, "content": {media_type: {"schema": {"type": "string"}}}}
    return keywords | {"response_class": Response}


def form_of(field: str, *, many: bool) -> dict[str, Any]:
    """A form with one file, or several of one name."""
    files = {"type": "array", "items": BINARY, "minItems": 1, "maxItems": MAX_IMAGES} if many else BINARY
    return {"multipart/form-data": {"schema": {"type": "object", "required": [field], "properties": {field: files}}}}


def image_body() -> dict[str, Any]:
    """One image, as a form or as the body itself."""
    return form_of("image", many=False) | {kind: {"schema": BINARY}
                                           for kind in ("image/jpeg", "image/png", "application/octet-stream")}


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """A JSON object."""
    return {"application/json": {"schema": model.model_json_schema(), "example": example}}


def add_docs(app: FastAPI) -> None:
    """Answer ``/docs``, with its scripts from here: the network that the service runs in may end at its walls."""
    async def docs(request: Request) -> Response:
        page = get_swagger_ui_html(
            openapi_url="openapi.json", title=app.title, swagger_js_url="docs/assets/swagger-ui-bundle.js",
            swagger_css_url="docs/assets/swagger-ui.css", swagger_favicon_url="docs/assets/favicon-light-32x32.png",
            swagger_ui_parameters={"validatorUrl": None})  # else it sends the address of the description to swagger.io
        page.headers["Content-Security-Policy"] = FROM_HERE
        return page

    app.add_route("/docs", docs, include_in_schema=False)
    app.mount("/docs/assets", StaticFiles(directory=SWAGGER))


def _refusals(status: int, codes: list[str]) -> dict[str, Any]:
    examples = {code: {"summary": CODES[code].meaning, "value": {
        "code": code, "message": CODES[code].meaning, "request_id": DIGEST[:32]}} for code in codes}
    headers = dict(REQUEST_ID)
    if status in HEADERS:
        name, about = HEADERS[status]
        headers[name] = {"description": about, "schema": {"type": "string"}}
    return {"model": Error, "description": " ".join(f"`{code}`: {CODES[code].meaning}" for code in codes), "headers": headers,
            "content": {"application/json": {"examples": examples}}}

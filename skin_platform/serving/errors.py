"""Errors: everything that the service answers instead of what was asked for, in one shape.

    {"code": "too_large", "message": "51000000 bytes is over the limit of 50000000", "request_id": "…"}

Here: the codes with their HTTP status and meaning, and the answer that tells one. Not here: who notices what (the routes,
``serving.front``).
"""

import json
from dataclasses import dataclass

from fastapi.responses import Response
from starlette.exceptions import HTTPException


@dataclass(frozen=True)
class Code:
    """The HTTP status of an error code, what it means for who gets it, and when to ask again, if ever."""

    status: int
    meaning: str
    retry_seconds: int | None = None


CODES = {
    "invalid_request": Code(422, "A parameter, header or field is missing or not as described; the message names it."),
    "empty": Code(422, "No image was sent: the file is empty."),
    "too_small": Code(422, "The image's shortest side is under the limit."),
    "corrupt": Code(422, "The image is truncated or damaged."),
    "unknown_label": Code(422, "The label is none of the model's; the message lists them."),
    "not_an_image": Code(415, "The content is no image, whatever it is called."),
    "wrong_format": Code(415, "An image, but neither JPEG nor PNG."),
    "unsupported_media_type": Code(415, "The request's Content-Type is not one of those described."),
    "too_large": Code(413, "More bytes or pixels than the limit; refused before they are read or decoded."),
    "too_many_images": Code(413, "More images in one request than are taken, or than the key may ask for in a minute."),
    "unauthorized": Code(401, "No key was sent, or one that is not known or was revoked."),
    "forbidden": Code(403, "The key lacks the scope that the message names."),
    "keys_unknown": Code(503, "The database of the keys cannot be read since the service started; ask again later.", 2),
    "rate_limited": Code(429, "The key's rate is used up; ask again after Retry-After seconds."),
    "not_found": Code(404, "There is no such page; the description at /docs lists all."),
    "unknown_prediction": Code(404, "No prediction of this id was recorded."),
    "unknown_job": Code(404, "No job of this id was submitted by this key, or it was removed after its time."),
    "method_not_allowed": Code(405, "The page is there, but not for this method; the header Allow lists those that are."),
    "invalid_http": Code(400, "What came is no request of HTTP/1.1; the connection is closed."),
    "headers_too_large": Code(431, "The request line with its headers is longer than 64 KiB; the connection is closed."),
    "request_timeout": Code(408, "The request's body did not arrive in time."),
    "not_ready": Code(503, "The model must not answer: the message says why.", 10),
    "no_champion": Code(503, "No model has been promoted yet.", 10),
    "overloaded": Code(503, "More images wait than may; ask again after Retry-After seconds.", 1),
    "spool_full": Code(503, "Predictions cannot be recorded at the moment, so none are made; ask again later.", 5),
    "store_down": Code(503, "The database of predictions does not answer; ask again later.", 5),
    "not_in_demo": Code(501, "Nothing is recorded in a demo, so this cannot be answered there."),
    "internal": Code(500, "A fault of the service; its log has the request id."),
}
BY_STATUS = {404: "not_found", 405: "method_not_allowed"}


class RouteError(Exception):
    """An answer that is not the one asked for: its code, what the person should know, further headers."""

    def __init__(self, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.headers = code, message, headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return CODES[self.code].status

    def body(self, request_id: str) -> dict[str, str]:
        """The one shape."""
        return {"code": self.code, "message": self.message, "request_id": request_id}

    def answer(self, request_id: str) -> Response:
        """The whole answer."""
        headers = dict(self.headers)
        if self.status == 401:
            headers.setdefault("WWW-Authenticate", "Bearer")
        if (seconds := CODES[self.code].retry_seconds) is not None:
            headers.setdefault("Retry-After", str(seconds))
        return json_answer(self.body(request_id), self.status, headers)


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``body`` as JSON; without the detour over models, which costs more than the rest of the route."""
    return Response(json.dumps(body, ensure_ascii=False, allow_nan=False).encode(), status, headers, "application/json")


def route_error(error: HTTPException) -> RouteError:
    """The framework's own refusal (no such page, wrong method) as one of ours."""
    code = BY_STATUS.get(error.status_code, "invalid_request")
    return RouteError(code, CODES[code].meaning, dict(error.headers or {}))

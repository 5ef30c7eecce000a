"""Bodies: what is sent with a request, read within limits that hold before all of it has come.

Here: an image as the whole body or as a file of a form, several of them, and JSON. Not here: a form's fields
(``serving.forms``), whether an image is taken (``serving.intake``).
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from skin_platform.serving.asked import asked_of
from skin_platform.serving.errors import RouteError
from skin_platform.serving.forms import Form

BODY_SECONDS = 30.0  # for a whole body to arrive; 50 MB take 8 s at 50 Mbit/s
FORM_BYTES = 65_536  # what a form's headers, boundaries and small fields may add to its images
JSON_BYTES = 65_536
RAW = {"image/jpeg", "image/png", "application/octet-stream"}
FORM = "multipart/form-data"
JSON = "application/json"


async def read_image(request: Request, max_bytes: int) -> bytes:
    """The image that is the body, or the form's file ``image``. Raises ``RouteError``."""
    kind, boundary = content_type(request)
    if kind in RAW:
        return await read_body(request, max_bytes)
    files = await read_form(request, boundary, max_bytes + FORM_BYTES)
    found = [data for name, data in files if name == "image"]
    if len(found) != 1:
        raise RouteError("invalid_request", f"the form has {len(found)} files named 'image': send exactly one, or the image's "
                                            "bytes as the body with Content-Type image/jpeg or image/png")
    return found[0]


async def read_images(request: Request, max_bytes: int) -> list[bytes]:
    """The files ``images`` of a form, in order. Raises ``RouteError``."""
    kind, boundary = content_type(request)
    if kind != FORM:
        raise RouteError("unsupported_media_type", "send the images as files named 'images' of a multipart/form-data body")
    found = [data for name, data in await read_form(request, boundary, max_bytes + FORM_BYTES) if name == "images"]
    if not found:
        raise RouteError("invalid_request", "the form has no file named 'images'")
    return found


def content_type(request: Request) -> tuple[str, bytes]:
    """The body's media type, one of those taken, and the boundary of a form. Raises ``RouteError``."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    name = kind.decode("latin-1").lower()
    if name not in RAW and name != FORM:
        raise RouteError("unsupported_media_type", f"Content-Type {name or 'is missing: it'} must be multipart/form-data with "
                                                   "a file, image/jpeg, image/png or application/octet-stream")
    return name, options.get(b"boundary", b"")


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body; raises ``RouteError`` as soon as it is announced or grows over ``max_bytes``."""
    chunks: list[bytes] = []
    await _receive(request, max_bytes, chunks.append)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object that is the body. Raises ``RouteError``.

    What does not call itself JSON is refused: a foreign web page may send such a body in its visitor's name, unasked.
    """
    kind = parse_options_header(request.headers.get("content-type", ""))[0].decode("latin-1").lower()
    if kind != JSON:
        raise RouteError("unsupported_media_type", f"Content-Type {kind or 'is missing: it'} must be {JSON}")
    body = await read_body(request, JSON_BYTES)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RouteError("invalid_request", f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise RouteError("invalid_request", "the body must be a JSON object")
    return found


async def read_form(request: Request, boundary: bytes, max_bytes: int) -> list[tuple[str, bytes]]:
    """The fields of a form with their names, in order."""
    if not boundary:
        raise RouteError("invalid_request", "the Content-Type multipart/form-data names no boundary")
    form = Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # which refuses a boundary that is too long
        await _receive(request, max_bytes, parser.write)
        parser.finalize()
    except FormParserError as error:
        raise RouteError("invalid_request", f"the form cannot be read: {error}") from None
    if not form.is_whole:
        raise RouteError("invalid_request", "the form ends before its last boundary")
    return [(part.name, bytes(part.data)) for part in form.parts]


async def _receive(request: Request, max_bytes: int, consume: Callable[[bytes], object]) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise RouteError("too_large", f"{announced} bytes is over the limit of {max_bytes}", {"Connection": "close"})
    asked, total = asked_of(request), 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                total += len(chunk)
                asked.hold(len(chunk))
                if total > max_bytes:
                    raise RouteError("too_large", f"the body is over the limit of {max_bytes} bytes", {"Connection": "close"})
                if chunk:
                    consume(chunk)
    except TimeoutError:
        raise RouteError("request_timeout", f"the body did not arrive within {BODY_SECONDS:g} s", {"Connection": "close"}) \
            from None
